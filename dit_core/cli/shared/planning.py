"""A study planned beside the results: the start of `plan`, `run`, `submit` and `evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dit_core.errors import EnvironmentProblem
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
from dit_core.study.price.prefixes import counted
from dit_core.study.science.run import Run


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
    planned = Planned(study, expansion, states, edit)
    return completed(replace(planned, calibration=_calibration(store, planned.left)))


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


def timed(planned: Planned, store: Store) -> Planned:
    """Return the plan with the time it takes here, measured now where it is not known yet."""
    if planned.calibration is not None or not planned.left:
        return planned
    from dit_core.bench.quick import quick_calibration
    from dit_core.cli.shared.spinner import spinner

    with spinner("measuring a few steps of the smallest and the largest model"):
        found = quick_calibration(store, planned.left)
    if found is None:
        return planned
    return replace(planned, calibration=found[0], measured_s=found[1])


def require_evaluations(planned: Planned, train_anyway: bool) -> None:
    """Raise EnvironmentProblem where a file is missing without which runs cannot be evaluated.

    What can be downloaded is downloaded first.
    """
    from dit_core.evaluate.protocol.needs import bring_what_evaluations_need

    lines = [] if train_anyway else bring_what_evaluations_need(planned.left)
    if lines:
        raise EnvironmentProblem(
            f"nothing was started: {counted(len(planned.left), 'run')} could be trained and not "
            f"evaluated, for want of {'; '.join(lines)} (--train-anyway trains all the same)"
        )


def _calibration(store: Store, left: tuple[Run, ...]) -> Calibration | None:
    """Return this machine's calibration, by `ditlab bench --save` or of the same models; or None.

    The machine's name costs a call of nvidia-smi, so it is asked only where there is a calibration.
    """
    if not store.calibration.parent.is_dir():
        return None
    from dit_core.bench.device import device_name
    from dit_core.bench.quick import kept_calibration

    whole = read_calibration(store, device_name()) if store.calibration.exists() else None
    return whole or kept_calibration(store, left)
