"""From a study to its runs: the grid, what is added, left out and merged, names, durations,
evaluations.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dit_core.errors import StudyError
from dit_core.study.grid.expand import Expansion, count, expand
from dit_core.study.language.study_model import Study

Load = Callable[[str], Study]
Expand = Callable[..., Expansion]


def test_the_full_example_expands_to_grid_less_excluded_plus_included(
    study: Load, full: str
) -> None:
    loaded = study(full)
    runs = expand(loaded).runs
    assert count(loaded) == len(runs) == 2 * 3 * 2 - 2 + 4
    assert [run.name for run in runs[:3]] == [
        "size=XXS,patch=4,lr=0.001,weight_decay=0.0",
        "size=XXS,patch=4,lr=0.002,weight_decay=0.1",
        "size=XXS,patch=2,lr=0.001,weight_decay=0.0",
    ]
    assert [run.name for run in runs[-4:]] == [
        "conditioning=adaln,seed=0",
        "conditioning=adaln,seed=1",
        "conditioning=in-context,seed=0",
        "conditioning=in-context,seed=1",
    ]
    assert not [
        run for run in runs if run.science.model.size == "XS" and run.science.model.patch == 1
    ]
    assert {run.science.train.images for run in runs} == {96_000}


def test_zip_moves_axes_together(study: Load, full: str) -> None:
    pairs = {(r.science.train.lr, r.science.train.weight_decay) for r in expand(study(full)).runs}
    assert pairs == {(1e-3, 0.0), (2e-3, 0.1)}


def test_where_selects_the_runs_that_are_evaluated(study: Load, full: str) -> None:
    for run in expand(study(full)).runs:
        wanted = run.science.model.size == "XS"
        assert len(run.evaluations) == (4 if wanted else 0)
        assert run.snapshots == ((48_000, 96_000) if wanted else (96_000,))


def test_evaluation_settings_never_enter_the_id_of_a_run(study: Load, full: str) -> None:
    before = expand(study(full)).runs
    after = expand(study(full.replace("steps: [10, 50]", "steps: [10, 50, 100]"))).runs
    assert [run.run_id for run in before] == [run.run_id for run in after]
    for old, new in zip(before, after, strict=True):
        assert {e.eval_id for e in old.evaluations} <= {e.eval_id for e in new.evaluations}
    assert sum(len(run.evaluations) for run in after) > sum(len(run.evaluations) for run in before)


@pytest.mark.parametrize(
    ("duration", "images"),
    [
        ("400k steps", 25_600_000),
        ("1 step", 64),
        ("6.4M images", 6_400_000),
        ("1 epoch", 29 * 64),
        ("30 epochs", 843 * 64),
        ("0.5 epochs", 15 * 64),
        ("1_500 steps", 96_000),
        ("1.5k steps", 96_000),
    ],
)
def test_durations_resolve_to_whole_steps(
    expanded: Expand, small: str, duration: str, images: int
) -> None:
    (run,) = expanded(small.replace("100 steps", duration)).runs
    assert run.science.train.images == images


def test_a_single_mapping_is_one_block_and_the_end_is_the_default_point(
    expanded: Expand, small: str
) -> None:
    (run,) = expanded(small + "evaluate: {steps: 10}\n").runs
    (planned,) = run.evaluations
    assert planned.evaluation.images_seen == 6400
    assert planned.evaluation.samples == 1797
    assert planned.evaluation.sampling.sampler == "ddpm"


def test_each_run_takes_the_samplers_that_fit_its_objective(expanded: Expand, small: str) -> None:
    runs = expanded(
        small + "axes: {objective.name: [ddpm, flow]}\nevaluate: {sampler: [ddim, euler, heun]}\n"
    ).runs
    assert [run.name for run in runs] == ["objective=ddpm", "objective=flow"]
    samplers = [[e.evaluation.sampling.sampler for e in run.evaluations] for run in runs]
    assert samplers == [["ddim"], ["euler", "heun"]]


def test_a_block_of_which_no_sampler_fits_is_an_error(expanded: Expand, small: str) -> None:
    with pytest.raises(
        StudyError, match=r"x\.yaml:6: evaluate\[0\]: sampler: euler cannot sample objective 'ddpm'"
    ):
        expanded(small + "evaluate: {sampler: euler}\n")
