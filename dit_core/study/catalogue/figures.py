"""The figures a study may ask for, by name; the paper's also by their number.

A new figure is a row here and a file of its name in `analysis/figures/paper` (hyphens become
underscores), with a function `draw`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.errors import nearest


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """A kind of figure that can be drawn from a study's records, and often from the paper's."""

    name: str
    """Its name in a study file and on the command line."""
    number: int | None
    """Number of the figure in the paper; None for a figure that the paper does not have."""
    shows: str
    """What it shows, in one line."""
    published: bool = True
    """The paper's printed numbers suffice to draw it, without any study."""

    @property
    def stem(self) -> str:
        """Its file name without ending: "figure08-gmacs-quality"; without a number its name."""
        if self.number is None:
            return self.name
        return f"figure{self.number:02d}-{self.name}"


_ROWS = (
    PaperFigure("bubbles", 2, "quality by size and patch, area is forward compute"),
    PaperFigure("conditioning", 5, "the conditioning designs over training"),
    PaperFigure("size-patch", 6, "model size and patch size over training"),
    PaperFigure("sample-grid", 7, "samples by size and patch", published=False),
    PaperFigure("gmacs-quality", 8, "forward compute against quality, with the correlation"),
    PaperFigure("training-compute", 9, "training compute against quality"),
    PaperFigure("sampling-compute", 10, "sampling compute against quality"),
    PaperFigure("guided-samples", 11, "samples with guidance", published=False),
    PaperFigure("other-metrics", 12, "other metrics against forward compute"),
    PaperFigure("loss-curves", 13, "training loss over training", published=False),
)
FIGURES: dict[str, PaperFigure] = {figure.name: figure for figure in _ROWS}


def numbers() -> tuple[int, ...]:
    """Return the paper's numbers of the figures that have one."""
    return tuple(row.number for row in FIGURES.values() if row.number is not None)


def listed(code: str = "") -> str:
    """Return the figures as one line, the name between `code`: "bubbles (2), own-figure"."""
    words = []
    for row in FIGURES.values():
        number = "" if row.number is None else f" ({row.number})"
        words.append(f"{code}{row.name}{code}{number}")
    return ", ".join(words)


def figure_name(word: str) -> str:
    """Return the name of a figure given by name or by the paper's number.

    Raises ValueError with the nearest name.
    """
    if word in FIGURES:
        return word
    for figure in FIGURES.values():
        if figure.number is not None and word == str(figure.number):
            return figure.name
    raise ValueError(f"no figure {word!r}{nearest(word, FIGURES)}; figures are {listed()}")
