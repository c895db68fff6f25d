"""A study planned beside the results: the start of `plan`, `run`, `submit` and `evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dit_core.evaluate.protocol.check import check_study, unmeasured
from dit_core.evaluate.protocol.needs import missing_files
from dit_core.records.calibration import read_calibration
from dit_core.records.paths import Store
from dit_core.records.plan import planned_names
from dit_core.records.run_state import states_of
from dit_core.study.grid.diff import StudyDiff, compare
from dit_core.study.grid.expand import MAX_RUNS, Expansion, expand
from dit_core.study.grid.plan import Planned
from dit_core.study.language.spec import load_study
from dit_core.study.language.study_model import Study
from dit_core.study.price.predict import Calibration


def make_plan(
    path: Path, store: Store, max_runs: int = MAX_RUNS, allow_empty: bool = False, few: bool = False
) -> Planned:
    """Return the study at `path`, its runs, and how each stands in `store`.

    Raises StudyError naming every fault of the file.
    """
    study = load_study(path)
    expansion = expand(study, max_runs=max_runs, allow_empty=allow_empty)
    check_study(study, expansion.runs, few)
    states = states_of(store, expansion.runs)
    edit = edit_of(store, study, expansion)
    return completed(Planned(study, expansion, states, edit, _calibration(store)))


def edit_of(store: Store, study: Study, expansion: Expansion) -> StudyDiff | None:
    """Return what changed since the study last ran or was submitted; None if it never was."""
    before = planned_names(store, study.name)
    return compare(before, expansion) if before else None


def completed(planned: Planned) -> Planned:
    """Return the plan with what its runs lack: files, and evaluations for its claims."""
    return replace(
        planned,
        unmeasured=tuple(unmeasured(planned.study, planned.runs)),
        missing=tuple(missing_files(planned.left)),
    )


def _calibration(store: Store) -> Calibration | None:
    """Return this machine's calibration, or None.

    The machine's name costs a call of nvidia-smi, so it is asked only where there is a calibration.
    """
    if not store.calibration.exists():
        return None
    from dit_core.bench.device import device_name

    return read_calibration(store, device_name())
