"""The figures a study may ask for: the paper's, by name or by the paper's number.

A new figure is a row here and a file of its name in `analysis/figures/paper`, with a function
`draw`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.errors import nearest


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """A kind of figure that can be drawn of the paper's numbers or of a study's."""

    name: str
    """Its name in a study file and on the command line."""
    number: int
    """Number of the figure in the paper."""
    shows: str
    """What it shows, in one line."""

    @property
    def stem(self) -> str:
        """Its file name without ending: "figure08-gmacs-quality"."""
        return f"figure{self.number:02d}-{self.name}"


_ROWS = (
    PaperFigure("bubbles", 2, "quality by size and patch, area is forward compute"),
    PaperFigure("conditioning", 5, "the conditioning designs over training"),
    PaperFigure("size-patch", 6, "model size and patch size over training"),
    PaperFigure("sample-grid", 7, "samples by size and patch"),
    PaperFigure("gmacs-quality", 8, "forward compute against quality, with the correlation"),
    PaperFigure("training-compute", 9, "training compute against quality"),
    PaperFigure("sampling-compute", 10, "sampling compute against quality"),
    PaperFigure("guided-samples", 11, "samples with guidance"),
    PaperFigure("other-metrics", 12, "other metrics against forward compute"),
    PaperFigure("loss-curves", 13, "training loss over training"),
)
FIGURES: dict[str, PaperFigure] = {figure.name: figure for figure in _ROWS}


def figure_name(word: str) -> str:
    """Return the name of a figure given by name or by the paper's number.

    Raises ValueError with the nearest name.
    """
    if word in FIGURES:
        return word
    for figure in FIGURES.values():
        if word == str(figure.number):
            return figure.name
    known = ", ".join(f"{figure.name} ({figure.number})" for figure in FIGURES.values())
    raise ValueError(f"no figure {word!r}{nearest(word, FIGURES)}; figures are {known}")
