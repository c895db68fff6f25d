"""Identities: pinned literally, from the resolved science alone; a new default changes none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from dit_core.study.grid.diff import compare
from dit_core.study.grid.expand import Expansion
from dit_core.study.language import fields, sections
from dit_core.study.science import ids
from dit_core.study.science.frozen import Frozen, neutral
from dit_core.study.science.ids import (
    Hasher,
    canonical,
    canonical_json,
    eval_id,
    full_hash,
    is_old,
    run_id,
)
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Data, Ddpm, Flow, Model, Science, Train

Expand = Callable[..., Expansion]


def science(**changes: Any) -> Science:
    """Return DiT-XS/2 on digits, with sections replaced."""
    sections: dict[str, Any] = {
        "model": Model(depth=4, hidden=96, heads=3, patch=2),
        "data": Data(),
        "objective": Ddpm(),
        "train": Train(images=96_000, batch=64),
    }
    return Science(**{**sections, **changes})


# An id that changes here orphans every result made before: raise ids.ID_VERSION and say so instead.
PINNED = {
    "DiT-XS/2 on digits": (science(), "a7cb77dc549d97bc"),
    "another seed": (science(train=Train(images=96_000, batch=64, seed=1)), "cde488e7f60d14f4"),
    "another learning rate": (
        science(train=Train(images=96_000, batch=64, lr=1e-3)),
        "b076d27e03bda831",
    ),
    "rectified flow": (science(objective=Flow()), "4dd29fc5df0d7287"),
    "in-context, learned positions": (
        science(
            model=Model(
                depth=4, hidden=96, heads=3, patch=2, conditioning="in-context", positions="learned"
            )
        ),
        "c626bba7db67410a",
    ),
    "DiT-XL/2 on latents": (
        science(
            model=Model(depth=28, hidden=1152, heads=16, patch=2),
            data=Data(
                name="imagenet",
                kind="latents",
                channels=4,
                height=32,
                width=32,
                classes=1000,
                images=1_281_167,
            ),
            train=Train(images=102_400_000),
        ),
        "713384aef8c6523f",
    ),
}


@pytest.mark.parametrize("case", PINNED)
def test_run_ids_are_pinned(case: str) -> None:
    value, pinned = PINNED[case]
    assert run_id(value) == pinned
    assert full_hash(value).startswith(pinned)
    assert Hasher().full_hash(value) == full_hash(value)


def test_evaluation_ids_are_pinned() -> None:
    run = "0123456789abcdef"
    first = Evaluation(images_seen=96_000, samples=1797, sampling=Sampling(steps=50))
    assert eval_id(run, first) == Hasher().eval_id(run, first) == "12a21d11649af3ed"
    assert eval_id(run, first.model_copy(update={"seed": 1})) == "a3371ea4d447f826"
    assert eval_id("f" * 16, first) != eval_id(run, first)


def test_the_canonical_form_writes_every_field_out() -> None:
    written = canonical(science())
    for name, section in (("model", Model), ("data", Data), ("objective", Ddpm), ("train", Train)):
        young = {
            n
            for n, info in section.model_fields.items()
            if isinstance(info.json_schema_extra, dict)
        }
        assert set(section.model_fields) - young <= set(written[name]) <= set(section.model_fields)
    assert '"lr":0.0001' in canonical_json(science())
    assert canonical_json(science(train=Train(images=64, batch=64, lr=1))).count('"lr":1.0') == 1


@contextlib.contextmanager
def default_of(model: type[BaseModel], name: str, value: Any) -> Iterator[None]:
    """Let a field of the science have another default, as a later version might."""
    info = model.model_fields[name]
    before = info.default

    def put(default: Any) -> None:
        info.default = default
        model.model_rebuild(force=True)
        Science.model_rebuild(force=True)
        for table in (fields.science_fields, sections.sections, sections.model_facts):
            table.cache_clear()

    try:
        put(value)
        yield
    finally:
        put(before)


def test_a_changed_default_never_reuses_an_old_run(expanded: Expand, small: str) -> None:
    (before,) = expanded(small).runs
    with default_of(Train, "lr", 3e-4):
        (after,) = expanded(small).runs
        assert after.science.train.lr == 3e-4
        assert after.run_id != before.run_id
        (named,) = expanded(small.replace("batch: 64", "batch: 64, lr: 1e-4")).runs
        assert named.run_id == before.run_id
    assert expanded(small).runs[0].run_id == before.run_id


class Old(Frozen):
    """A record before a field was added."""

    a: int = 1


class Young(Frozen):
    """The same record with a younger field."""

    a: int = 1
    b: Annotated[float, Field(json_schema_extra=neutral(0.0))] = 0.0


def test_a_younger_field_leaves_ids_alone_until_it_does_something() -> None:
    assert canonical_json(Young()) == canonical_json(Old())
    assert canonical_json(Young(b=0.5)) == '{"a":1,"b":0.5}'
    assert canonical_json(Young(a=2)) != canonical_json(Old())


def test_minus_zero_is_zero() -> None:
    minus = science(train=Train(images=64, batch=64, weight_decay=-0.0))
    assert run_id(minus) == run_id(science(train=Train(images=64, batch=64)))


def test_a_record_of_another_id_version_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"id_version": ids.ID_VERSION, "run_id": "0" * 16}
    assert not is_old(record)
    before = run_id(science())
    monkeypatch.setattr(ids, "ID_VERSION", ids.ID_VERSION + 1)
    assert is_old(record)
    assert is_old({"run_id": "0" * 16})
    assert run_id(science()) != before


def test_the_same_hyperparameters_written_differently_are_one_run(
    expanded: Expand, small: str
) -> None:
    forms = ["lr: 1e-4", "lr: 0.0001", "lr: 1.0E-4", "lr: 0.000_1", "batch: 64.0, lr: 1e-4"]
    found = {
        expanded(small.replace("batch: 64", form if "batch" in form else f"batch: 64, {form}"))
        .runs[0]
        .run_id
        for form in forms
    }
    assert len(found) == 1
    spelled = small.replace("size: XS", "depth: 4, hidden: 96, heads: 3").replace(
        "100 steps", "6400 images"
    )
    assert {expanded(spelled).runs[0].run_id} == found


def test_an_edit_of_a_study_keeps_adds_and_orphans(expanded: Expand, small: str) -> None:
    before = expanded(small + "axes: {model.size: [XXS, XS], train.seed: [0, 1]}\n")
    after = expanded(small + "axes: {model.size: [XS, S], train.seed: [0, 1]}\n")
    diff = compare({run.run_id: run.name for run in before.runs}, after)
    assert list(diff.kept.values()) == ["size=XS,seed=0", "size=XS,seed=1"]
    assert list(diff.added.values()) == ["size=S,seed=0", "size=S,seed=1"]
    assert list(diff.orphaned.values()) == ["size=XXS,seed=0", "size=XXS,seed=1"]
    assert diff.is_conflict
    lines = diff.lines(most=1)
    assert lines[0] == "2 kept, 2 added, 2 orphaned (nothing is deleted)"
    assert lines[1].startswith("+ size=S,seed=0 ")
    assert lines[2:] == [
        "+ ... and 1 more",
        f"- size=XXS,seed=0 {before.runs[0].run_id}",
        "- ... and 1 more",
    ]


def test_reordering_a_study_is_no_conflict_and_only_renames(expanded: Expand, small: str) -> None:
    before = expanded(small + "axes: {model.size: [XXS, XS], train.seed: [0, 1]}\n")
    after = expanded(small + "axes: {train.seed: [1, 0], model.size: [XXS, XS]}\n")
    diff = compare({run.run_id: run.name for run in before.runs}, after)
    assert (len(diff.kept), diff.added, diff.orphaned) == (4, {}, {})
    assert not diff.is_conflict
    assert set(diff.renamed.values()) == {
        (f"size={s},seed={n}", f"seed={n},size={s}") for s in ("XXS", "XS") for n in (0, 1)
    }
    assert compare([run.run_id for run in before.runs], after).renamed == {}
