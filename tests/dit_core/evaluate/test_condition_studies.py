"""The studies of conditions and vectors ask what they say, fit their protocols, and cost minutes on
two cores.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dit_core.evaluate.protocol.check import check_study, unmeasured
from dit_core.executor.local import work
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study

STUDIES = Path(__file__).parents[3] / "studies"
NAMES = ("spatial-digits", "continuous-digits", "vectors")


@pytest.mark.parametrize("name", NAMES)
def test_a_study_fits_its_protocols_and_a_few_minutes(name):
    study = load_study(STUDIES / f"{name}.yaml")
    runs = expand(study).runs
    check_study(study, runs)
    assert not unmeasured(study, runs)
    assert sum(map(work, runs)) < 13e12


def test_what_varies_is_what_is_asked():
    runs = {
        name: [run.science for run in expand(load_study(STUDIES / f"{name}.yaml")).runs]
        for name in NAMES
    }
    spatial = {(s.data.name, s.model.map_entry) for s in runs["spatial-digits"]}
    assert spatial == {
        (d, e) for d in ("digits-half", "digits-coarse") for e in ("concat", "cross-attention")
    }
    designs = {s.model.conditioning for s in runs["continuous-digits"]}
    assert designs == {"adaln-zero", "cross-attention", "in-context"}
    tokens = {(s.data.name, s.model.tokens) for s in runs["vectors"]}
    assert tokens == {
        (d, t) for d in ("wine", "breast-cancer") for t in ("patches", "features", "modules")
    }
