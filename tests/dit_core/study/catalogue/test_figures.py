"""The catalogue of figures: the paper's have its numbers, another one need not have any."""

from __future__ import annotations

import pytest

from dit_core.study.catalogue import figures
from dit_core.study.catalogue.figures import FIGURES, PaperFigure, figure_name

OWN = PaperFigure("own-figure", None, "something the paper does not show", published=False)


def test_a_figure_without_a_number_is_found_by_its_name_alone(monkeypatch):
    monkeypatch.setitem(FIGURES, OWN.name, OWN)
    assert OWN.stem == figure_name("own-figure") == "own-figure"
    assert figures.listed(code="`").endswith("`loss-curves` (13), `own-figure`")
    assert figures.numbers() == (2, 5, 6, 7, 8, 9, 10, 11, 12, 13)
    for word in ("None", "0"):
        with pytest.raises(ValueError, match=rf"no figure '{word}'.*own-figure$"):
            figure_name(word)


def test_the_papers_figures_are_found_by_name_and_number():
    for row in FIGURES.values():
        assert figure_name(row.name) == figure_name(str(row.number)) == row.name
