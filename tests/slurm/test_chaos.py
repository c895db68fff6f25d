"""A short storm; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_a_study_survives_a_short_storm(cluster, tmp_path: Path, record_property):
    """Ten faults, each kind but lost accounting once, on at least four runs of two evaluations."""
    from chaos import chaos

    counts = chaos(
        cluster, tmp_path, runs=4, steps=400, faults=10, seed=3, most_s=600, say=lambda line: None
    )
    record_property("chaos", counts)
    assert [n for k, n in counts.items() if k.startswith("fault ")] == [1] * 10
    assert counts["runs"] >= 4
    assert counts["evaluations"] == 2 * counts["runs"]
    bad = {k: v for k, v in counts.items() if k.endswith(("_lost", "_doubled", "_wrong")) and v}
    assert not bad
