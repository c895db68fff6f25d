"""A metric is one row of the catalogue and one function, and nothing else knows its name."""

from __future__ import annotations

import pytest

from dit_core.errors import UserError
from dit_core.evaluate.metrics.measure import FUNCTIONS
from dit_core.study.catalogue.metrics import METRICS, family, metric_of
from dit_core.study.catalogue.protocols import PROTOCOLS


def test_every_row_has_a_function_and_every_function_a_row():
    measured = {name for name, row in METRICS.items() if row.needs != "curve"}
    assert measured == FUNCTIONS.keys()


def test_every_metric_of_a_protocol_has_a_row():
    for protocol in PROTOCOLS.values():
        assert {metric_of(name).name for name in protocol.metrics} == set(protocol.metrics)
        assert protocol.main in protocol.metrics


def test_families_are_computed_in_the_order_of_their_rows():
    assert family("completion") == (
        "completion_rmse",
        "completion_mean_rmse",
        "class_mean_rmse",
        "completion_ratio",
        "completion_mean_ratio",
    )
    assert family("coverage") == ("precision", "recall")
    for name in {row.family for row in METRICS.values() if row.family}:
        assert len({FUNCTIONS[metric] for metric in family(name)}) == 1


def test_panels_and_report_columns_keep_their_order():
    panels = [name for name, row in METRICS.items() if row.panel]
    assert panels[:5] == ["sfid", "is", "kid", "precision", "recall"]
    columns = sorted(
        (row.report_column, name) for name, row in METRICS.items() if row.report_column
    )
    assert [name for _, name in columns] == ["precision", "recall", "is", "sfid"]


def test_distances_are_positive():
    positive = {name for name, row in METRICS.items() if row.positive}
    assert positive == {"fid", "sfid", "fid_infinity", "fd_digits", "fd_digits_infinity"}


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="unknown metric 'fid_digits', did you mean 'fd_digits'"):
        metric_of("fid_digits")
