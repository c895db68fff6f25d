"""Every metric that a protocol measures has a name on axes and a direction."""

from __future__ import annotations

from analysis.figures.style import metric_label
from dit_core.study.catalogue.metrics import METRICS
from dit_core.study.catalogue.protocols import PROTOCOLS


def test_figures_know_every_metric_of_every_protocol():
    measured = {metric for protocol in PROTOCOLS.values() for metric in protocol.metrics}
    assert measured <= METRICS.keys()
    assert {metric for metric in measured if METRICS[metric].better is None} == {
        "ink_slope",
        "slant_slope",
        "width_slope",
    }


def test_a_slope_is_neither_better_high_nor_low():
    assert metric_label("ink_slope") == "Ink obeyed, slope"
    assert metric_label("ink_r2").endswith("(higher is better)")
    assert metric_label("two_sample_accuracy").endswith("(lower is better)")


def test_names_fit_an_axis():
    assert max(len(metric.label) for metric in METRICS.values()) <= 34
