"""The conditioning designs: how time and label enter the blocks (paper section 3.2, figure 3).

Another design is a row here and a block class in `dit_core/model/conditioning.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.study.catalogue.lookup import row_of


@dataclass(frozen=True, slots=True)
class Design:
    """One conditioning design."""

    name: str
    """Value of `model.conditioning`."""
    label: str
    """Name in figures, as the paper writes it."""
    colour: str
    """Colour in figures; Okabe and Ito's, darkened where they are too light on white."""
    line: str
    """Line style in figures (matplotlib)."""
    marker: str
    """Marker in figures (matplotlib)."""
    modulations: tuple[str, ...] = ()
    """Vectors regressed for each block, in the order of the released weights: shift, scale, gate.

    A scale is used as 1 + value. A gate multiplies a residual branch.
    """
    joins_tokens: bool = False
    """Conditions are further tokens of the sequence that passes through the blocks."""
    attends: bool = False
    """Each block has a cross-attention to the conditions after its self-attention."""
    takes_sequences: bool = True
    """Conditions that are sequences (context tokens, a map's patches) can enter the blocks."""
    released: bool = False
    """Weights were published, so that the layouts of others exist for it."""

    @property
    def gated(self) -> bool:
        """Return whether gates make each block the identity at the start."""
        return "gate" in self.modulations


DESIGNS: dict[str, Design] = {
    row.name: row
    for row in (
        Design(
            name="adaln-zero",
            label="adaLN-Zero",
            colour="#0072b2",
            line="-",
            marker="o",
            modulations=("shift", "scale", "gate", "shift", "scale", "gate"),
            released=True,
        ),
        Design(
            name="adaln",
            label="adaLN",
            colour="#c65102",
            line="--",
            marker="s",
            modulations=("shift", "scale", "shift", "scale"),
        ),
        Design(
            name="cross-attention",
            label="cross-attention",
            colour="#00795a",
            line="-.",
            marker="^",
            attends=True,
        ),
        Design(
            name="in-context",
            label="in-context",
            colour="#8a3d74",
            line=":",
            marker="D",
            joins_tokens=True,
            takes_sequences=False,
        ),
    )
}


def design_of(name: str) -> Design:
    """Return the design called `name`; raise UserError with the nearest name otherwise."""
    return row_of(DESIGNS, name, "conditioning")
