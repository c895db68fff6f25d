"""Grids: counted, refused, filtered, merged, and every point that cannot be."""

from __future__ import annotations

import itertools
import random
import re
import resource
import time
from collections.abc import Callable

import pytest

from dit_core.errors import StudyError
from dit_core.study.grid.expand import Expansion, count, expand
from dit_core.study.grid.grid import Dimension, Grid, grids_of
from dit_core.study.grid.resolve import agrees
from dit_core.study.language.study_model import Study
from dit_core.study.science import ids
from dit_core.study.science.ids import eval_id, run_id
from dit_core.study.science.science import SIZES, Science

Load = Callable[[str], Study]
Expand = Callable[..., Expansion]
TEN = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"


def wide(axes: int) -> str:
    """Return axes that make 10 ** axes points."""
    fields = [
        "train.seed",
        "train.warmup_images",
        "train.weight_decay",
        "model.depth",
        "model.mlp_ratio",
        "train.lr",
    ]
    fields += [
        "train.clip",
        "objective.timesteps",
        "model.layer_scale",
        "train.batch",
        "data.classes",
        "train.beta1",
    ]
    lists = [
        TEN if f in ("train.seed", "train.warmup_images", "train.weight_decay") else ONES
        for f in fields
    ]
    lists[-1] = "[0, .1, .2, .3, .4, .5, .6, .7, .8, .9]"
    return "axes:\n" + "".join(
        f"  {f}: {values}\n" for f, values in list(zip(fields, lists, strict=True))[:axes]
    )


ONES = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"


@pytest.mark.parametrize("axes", [6, 12])
def test_a_huge_grid_is_counted_without_being_built_and_refused(
    study: Load, small: str, axes: int
) -> None:
    loaded = study(
        small
        + wide(axes)
        + "exclude: [{train.seed: 3, train.lr: [1, 2]}, {train.warmup_images: 5}]\n"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    points = count(loaded)
    with pytest.raises(
        StudyError, match=rf"x\.yaml:6: {points:,} runs, more than 100,000; .*--max-runs {points}"
    ):
        expand(loaded)
    seconds = time.process_time() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"10^{axes} points less the excluded, {points:,}: {seconds * 1e3:.1f} ms, {megabytes:.1f} "
        "MB more"
    )
    assert points == 10**axes * (1 - 0.1 - 0.1 * 0.2 * 0.9)
    assert seconds < 1
    assert megabytes < 20


def test_max_runs_is_the_users_to_choose(study: Load, small: str) -> None:
    loaded = study(small + f"axes: {{train.seed: {TEN}}}\n")
    assert len(expand(loaded, max_runs=10).runs) == 10
    with pytest.raises(StudyError, match="10 runs, more than 9"):
        expand(loaded, max_runs=9)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "axes: {model.size: []}\n",
            "x.yaml:6: model.size: an empty axis leaves no run; allow it with --allow-empty",
        ),
        (
            "axes: {model.patch: [2, 4]}\nexclude: [{model.size: XS}]\n",
            "x.yaml:7: exclude: leaves no run out of 2",
        ),
        (
            "zip: [{train.seed: [], train.lr: []}]\n",
            "x.yaml:6: train.seed: an empty axis leaves no run",
        ),
        (
            "axes: {model.size: []}\ninclude: [{train.seed: 1}]\n",
            "x.yaml:6: model.size: an empty axis leaves no run",
        ),
    ],
)
def test_no_run_at_all_is_an_error_unless_allowed(
    study: Load, small: str, text: str, wanted: str
) -> None:
    loaded = study(small + text)
    with pytest.raises(StudyError, match=re.escape(wanted)):
        expand(loaded)
    assert len(expand(loaded, allow_empty=True).runs) == ("include" in text)


def test_counting_with_excludes_equals_walking_the_grid() -> None:
    rng = random.Random(1)
    choices = {
        "model.size": list(SIZES)[:4],
        "model.patch": [1, 2, 4],
        "train.seed": [0, 1, 2],
        "train.batch": [32, 64],
        "model.conditioning": ["adaln", "adaln-zero", "in-context"],
    }
    for _ in range(200):
        axes = rng.sample(list(choices), rng.randint(1, 4))
        base = {"model.size": "XS", "model.patch": 2, "train.images": 6400, "train.seed": 1}
        base = {path: value for path, value in base.items() if path not in axes}
        rules = tuple(
            {
                path: tuple(rng.sample(choices[path], rng.randint(1, 2)))
                for path in rng.sample(list(choices), rng.randint(1, 3))
            }
            for _ in range(rng.randint(1, 6))
        )
        grid = Grid(
            base,
            tuple(Dimension((path,), tuple((v,) for v in choices[path])) for path in axes),
            rules,
        )
        kept = []
        for values in itertools.product(*(choices[path] for path in axes)):
            point = {
                "model.conditioning": "adaln-zero",
                "train.batch": 256,
                **base,
                **dict(zip(axes, values, strict=True)),
            }
            if not any(
                all(point[path] in wanted for path, wanted in rule.items()) for rule in rules
            ):
                kept.append(values)
        got = [tuple(grid.settings(point)[path] for path in axes) for point in grid.points()]
        assert got == kept
        assert grid.count() == len(kept)


def test_excludes_read_resolved_values(expanded: Expand, small: str) -> None:
    axes = "model.size: [XXS, XS], train.batch: [32, 64], train.duration: [100 steps, 200 steps]"
    text = f"{small}axes: {{{axes}}}\n"
    (depth, hidden, heads) = SIZES["XS"]
    assert (
        len(expanded(text + f"exclude: [{{model.depth: {depth}, model.hidden: {hidden}}}]\n").runs)
        == 4
    )
    assert (
        len(expanded(text + f"exclude: [{{model.heads: {heads}, train.images: 6400}}]\n").runs) == 6
    )
    assert len(expanded(text + "exclude: [{train.duration: 6400 images}]\n").runs) == 4
    assert len(expanded(text + "exclude: [{train.label_dropout: 0.1, model.size: XS}]\n").runs) == 4
    with pytest.raises(
        StudyError,
        match=r"exclude\[1\]: no point of the axes has train\.label_dropout 0\.2; correct",
    ):
        expanded(text + "exclude: [{model.size: XS}, {train.label_dropout: 0.2}]\n")


def test_equal_points_are_one_run_and_counted(expanded: Expand, small: str) -> None:
    text = "axes: {train.lr: [1e-4, 0.0001, 1.0e-4, 2e-4], train.batch: [64, 64.0]}\n"
    both = expanded(small + text)
    assert len(both.runs) == 2
    assert both.merged_duplicates == 6
    again = expanded(small + text + "include: [{train.lr: 2e-4}]\n")
    assert len(again.runs) == 2
    assert again.merged_duplicates == 7


def test_truth_values_and_numbers_are_never_one(study: Load, small: str) -> None:
    with pytest.raises(StudyError, match=r"axes\.data\.flip: given 1; wants true or false"):
        study(small + "axes: {data.flip: [true, 1]}\n")
    with pytest.raises(StudyError, match=r"axes\.train\.seed: given true; wants a whole number"):
        study(small + "axes: {train.seed: [true, 1]}\n")


def test_a_collision_of_ids_is_an_error(
    study: Load, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = study(small + f"axes: {{train.seed: {TEN}}}\n")
    assert len(expand(loaded).runs) == 10
    monkeypatch.setattr(ids, "ID_LENGTH", 1)
    with pytest.raises(
        StudyError, match=r"runs 'seed=\d' and 'seed=\d' differ but share the id [0-9a-f];"
    ):
        expand(study(small + "axes: {train.seed: [" + ", ".join(map(str, range(17))) + "]}\n"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "axes: {model.sise: [XS]}\n",
            "x.yaml:6: axes.model.sise: unknown key 'sise', did you mean 'size'?",
        ),
        ("axes: {optimizer.lr: [1]}\n", "unknown key 'optimizer.lr', did you mean 'train.lr'?"),
        ("axes: {steps: [1]}\n", "sampling and evaluation settings go under `evaluate`"),
        ("axes: {threads: [1]}\n", "execution settings cannot be swept, they go under `execution`"),
        (
            "axes: {model.patch: [2]}\nzip: [{model.patch: [2]}]\n",
            "x.yaml:7: model.patch: two axes set it",
        ),
        ("zip: [{train.seed: [1]}, {train.seed: [2]}]\n", "x.yaml:6: train.seed: two axes set it"),
        ("axes: {model.patch: [2], model: {patch: [4]}}\n", "axes.model.patch: given twice"),
        (
            "zip: [{train.seed: [1, 2], train.lr: [1]}]\n",
            "need equal lengths; train.seed has 2 values, train.lr has",
        ),
        ("axes: {model.patch: 2}\n", "x.yaml:6: axes.model.patch: given 2; wants a list of values"),
        ("axes: [model.patch]\n", "x.yaml:6: axes: given a list ['model.patch']; wants a mapping"),
        (
            "zip: {model.patch: [2]}\n",
            "x.yaml:6: zip: given a mapping {model.patch}; wants a list of entries",
        ),
        ("exclude: [{}]\n", "x.yaml:6: exclude[0]: an empty entry"),
        ("include: [{train.seed: []}]\n", "x.yaml:6: include[0].train.seed: an empty list"),
        ("evaluate: []\n", ""),
        ("evaluate: [{}]\n", "x.yaml:6: evaluate[0]: given a mapping {}"),
        ("evaluate: {steps: []}\n", "x.yaml:6: evaluate[0].steps: an empty list"),
        (
            "evaluate: {where: {model.sise: XS}}\n",
            "x.yaml:6: evaluate[0].where.model.sise: unknown key 'sise'",
        ),
    ],
)
def test_grids_that_make_no_sense_are_refused_when_read(
    study: Load, small: str, text: str, wanted: str
) -> None:
    if not wanted:
        assert study(small + text).evaluate == ()
        return
    with pytest.raises(StudyError, match=re.escape(wanted)):
        study(small + text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("axes: {model.depth: [2, 4]}\n", "x.yaml:6: model: size 'XS' and depth given together"),
        (
            "axes: {train.images: [6400]}\n",
            "train: duration '100 steps' and images 6400 given together",
        ),
        (
            "axes: {model.patch: [1, 3, 5]}\n",
            "x.yaml:6: model: patch 3 does not divide the input 8x8",
        ),
        (
            "axes: {objective.name: [ddpm, flow], objective.timesteps: [10]}\n",
            "objective.timesteps does not belong to name 'flow'",
        ),
        (
            "axes: {data.name: [cifar]}\n",
            "data 'cifar' is not built in; missing: data.kind, data.channels, ",
        ),
        ("axes: {data.height: [16]}\n", "data 'digits' is built in with kind digits, channels 1"),
        (
            "evaluate: {at: 200 steps}\n",
            "evaluate[0]: '200 steps' lies beyond the end of the run (100 steps, ",
        ),
        (
            "evaluate: {protocol: digts}\n",
            "evaluate[0].protocol: given 'digts', did you mean 'digits'",
        ),
        (
            "evaluate: {sampler: ddpm, eta: 0.5}\n",
            "evaluate[0]: eta 0.5 has no meaning for sampler 'ddpm'",
        ),
        (
            "evaluate: {steps: 1001}\n",
            "evaluate[0]: 1001 sampling steps out of 1000 timesteps: allowed are 1 to 1000",
        ),
        (
            "evaluate: {where: {model.size: S}}\n",
            "x.yaml:6: evaluate[0].where: no run of this study has model.size S",
        ),
        (
            "axes: {train.duration: [6401 images]}\n",
            "is not a whole number of steps of batch 64; nearest are 6400",
        ),
    ],
)
def test_points_that_cannot_be_are_refused_before_anything_runs(
    expanded: Expand, small: str, text: str, wanted: str
) -> None:
    with pytest.raises(StudyError, match=re.escape(wanted)) as caught:
        expanded(small + text)
    assert caught.value.exit_code == 2


def test_all_points_that_cannot_be_are_listed_at_once(expanded: Expand) -> None:
    text = (
        "study: a\nquestion: b\nbase:\n  model: {depth: 2}\n  train: {duration: 5 steps}\n"
        "axes: {model.heads: [4, 5, 7], model.hidden: [64, 96], model.patch: [2, 3]}\n"
    )
    with pytest.raises(StudyError) as caught:
        expanded(text)
    lines = caught.value.problems
    assert [line.split("x.yaml:6: model: ")[1].split(";")[0] for line in lines] == [
        "patch 3 does not divide the input 8x8",
        "heads 5 do not divide hidden 64",
        "heads 5 do not divide hidden 96",
        "heads 7 do not divide hidden 64",
        "heads 7 do not divide hidden 96",
    ]
    assert "(at heads=5,hidden=64,patch=2; heads=5,hidden=64,patch=3)" in lines[1]


def test_an_invalid_point_can_be_excluded(expanded: Expand, small: str) -> None:
    text = small + "axes: {model.patch: [2, 3]}\nexclude: [{model.patch: 3}]\n"
    assert [run.name for run in expanded(text).runs] == ["patch=2"]


def test_reordering_axes_and_keys_changes_no_id(expanded: Expand, full: str) -> None:
    before = expanded(full).runs
    swapped = full.replace(
        "model.size: [XXS, XS], model.patch: [4, 2, 1]",
        "model.patch: [1, 4, 2], model.size: [XS, XXS]",
    )
    swapped = swapped.replace(
        "{size: XS, patch: 2, conditioning: adaln-zero}",
        "{conditioning: adaln-zero, patch: 2.0, size: XS}",
    )
    swapped = swapped.replace("1e-3", "0.001").replace("1500 steps", "1.5k steps")
    after = expanded(swapped).runs
    assert swapped.count("0.001") == 2
    assert {r.run_id for r in before} == {r.run_id for r in after}
    assert {e.eval_id for r in before for e in r.evaluations} == {
        e.eval_id for r in after for e in r.evaluations
    }
    print(
        "runs to repeat after re-ordering: "
        f"{len({r.run_id for r in after} - {r.run_id for r in before})}"
    )


def test_the_shared_way_of_building_runs_equals_the_plain_one(study: Load, small: str) -> None:
    loaded = study(
        small
        + "axes:\n  model.size: [XXS, XS, S]\n  model.patch: [1, 2, 4]\n  train.batch: [32, 64]\n"
        "  objective.name: [ddpm, flow]\n  train.seed: [0, 1, 2]\n  train.duration: [10 steps, 2 "
        "epochs]\n"
        "  model.qk_norm: [true, false]\n  train.clip: [null, 1]\n"
        "evaluate: {steps: [10, 20], at: [50%, end], sampler: [ddpm, euler]}\n"
    )
    runs = expand(loaded).runs
    (grid,) = grids_of(loaded)
    assert len(runs) == grid.size == 3 * 3 * 2 * 2 * 3 * 2 * 2 * 2
    for point, run in random.Random(0).sample(list(zip(grid.points(), runs, strict=True)), 60):
        flat = grid.settings(point)
        depth, hidden, heads = SIZES[flat.pop("model.size")]
        batch = flat["train.batch"]
        steps = 10 if str(flat.pop("train.duration")) == "10 steps" else -(-2 * 1797 // batch)
        nested: dict[str, dict[str, object]] = {
            "model": {"family": "dit"},
            "data": {},
            "objective": {},
            "train": {},
        }
        for path, value in flat.items():
            section, name = path.split(".")
            nested[section][name] = value
        nested["model"].update(depth=depth, hidden=hidden, heads=heads)
        nested["train"]["images"] = steps * batch
        plain = Science.model_validate(nested)
        assert plain == run.science
        assert run_id(plain) == run.run_id
        assert [eval_id(run.run_id, e.evaluation) for e in run.evaluations] == [
            e.eval_id for e in run.evaluations
        ]
        assert len(run.evaluations) == 4


def test_agrees_never_takes_a_duration_that_is_no_whole_number_of_steps(
    study: Load, small: str
) -> None:
    loaded = study(
        small + "evaluate: [{steps: 5, where: {train.duration: [6401 images, 6400 images]}}]\n"
    )
    (run,) = expand(loaded).runs
    assert len(run.evaluations) == 1
    sections = {name: getattr(run.science, name).__dict__ for name in Science.model_fields}
    assert not agrees("train.duration", loaded.evaluate[0].where["train.duration"][:1], sections)
