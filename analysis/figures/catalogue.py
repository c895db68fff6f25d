"""Any figure by its name, drawn from a `Source`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from analysis.select.source import Source
from dit_core.study.catalogue.figures import FIGURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(name: str, source: Source, mix: bool = False) -> Figure:
    """Return figure `name` of the catalogue, by the function `draw` in the file of its name.

    Raises UserError, with what would make them, where its data are missing or of two protocols.
    """
    module = import_module(f"analysis.figures.paper.{FIGURES[name].name.replace('-', '_')}")
    return cast("Figure", module.draw(source, mix))
