"""Runs and evaluations as a study expands to them: frozen values, ready to be priced and run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dit_core.study.science.execution import Execution
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Science


@dataclass(frozen=True, slots=True)
class PlannedEvaluation:
    """One evaluation of one run: `eval_id` is its identity."""

    eval_id: str
    run_id: str
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a study and the evaluations asked of it.

    `run_id` is the hash of `science`; `name` is a label made of the swept axes only
    ("size=XS,patch=2"), unique within its study, free to differ between two studies that share the
    run; `swept` holds the axes' key paths and values. `snapshots` are the training points (images
    seen, ascending, the end included) whose EMA weights are kept.
    """

    run_id: str
    name: str
    science: Science
    execution: Execution
    evaluations: tuple[PlannedEvaluation, ...] = ()
    snapshots: tuple[int, ...] = ()
    swept: dict[str, Any] = field(default_factory=dict)
