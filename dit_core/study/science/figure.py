"""The figures a study may ask for: the paper's, by name and by the paper's number."""

from __future__ import annotations

from dit_core.errors import nearest

# name: (number in the paper, what it shows)
FIGURES: dict[str, tuple[int, str]] = {
    "bubbles": (2, "quality by size and patch, area is forward compute"),
    "conditioning": (5, "the conditioning designs over training"),
    "size-patch": (6, "model size and patch size over training"),
    "sample-grid": (7, "samples by size and patch"),
    "gmacs-quality": (8, "forward compute against quality, with the correlation"),
    "training-compute": (9, "training compute against quality"),
    "sampling-compute": (10, "sampling compute against quality"),
    "guided-samples": (11, "samples with guidance"),
    "other-metrics": (12, "other metrics against forward compute"),
    "loss-curves": (13, "training loss over training"),
}


def figure_name(word: str) -> str:
    """Return the name of a figure given by name or by the paper's number; raise ValueError with the
    nearest name.
    """
    numbers = {str(number): name for name, (number, _) in FIGURES.items()}
    found = numbers.get(word, word)
    if found not in FIGURES:
        known = ", ".join(f"{name} ({number})" for name, (number, _) in FIGURES.items())
        raise ValueError(f"no figure {word!r}{nearest(word, FIGURES)}; figures are {known}")
    return found
