"""Guidance is refused where the prediction that it subtracts was never trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dit_core.errors import StudyError
from dit_core.study.grid.expand import Expansion

Expand = Callable[..., Expansion]
OWN = "data: {name: mine, kind: npz, channels: 1, height: 8, width: 8, images: 640, "
GUIDED = "evaluate: {guidance: 2}\n"


def with_base(small: str, data: str = "", train: str = "") -> str:
    """Return the smallest study with other data and more of `train`."""
    text = small.replace("batch: 64", f"batch: 64{train}")
    return text + (f"  {data}\n" if data else "")


@pytest.mark.parametrize(
    ("data", "train", "words"),
    [
        ("", ", label_dropout: 0", "`guidance` other than 1 needs label_dropout > 0"),
        (OWN + "classes: 1}", "", "data 'mine' have 1 class and no other condition"),
        (
            OWN + "classes: 1, vector: 3}",
            ", vector_dropout: 0",
            "`guidance` other than 1 needs vector_dropout > 0",
        ),
        (
            OWN + "classes: 5, map_channels: 1, map_height: 8, map_width: 8}",
            ", label_dropout: 0, map_dropout: 0",
            "needs label_dropout > 0 and map_dropout > 0",
        ),
    ],
)
def test_guidance_needs_a_null_that_was_trained(
    expanded: Expand, small: str, data: str, train: str, words: str
) -> None:
    text = with_base(small, data, train)
    assert len(expanded(text + "evaluate: {guidance: 1}\n").runs) == 1
    for scale in ("2", "0", "[1, 1.5]"):
        with pytest.raises(StudyError, match=r"x\.yaml:") as error:
            expanded(text + f"evaluate: {{guidance: {scale}}}\n")
        assert words in str(error.value)
        assert "guidance" in str(error.value).partition(":")[2]


def test_runs_with_equal_lengths_are_told_apart(expanded: Expand, small: str) -> None:
    text = small + "axes: {train.label_dropout: [0.1, 0]}\n"
    with pytest.raises(StudyError, match=r"needs label_dropout > 0"):
        expanded(text + GUIDED)
    chosen = "evaluate: {guidance: 2, where: {train.label_dropout: 0.1}}\n"
    trained, untrained = expanded(text + chosen).runs
    assert (len(trained.evaluations), len(untrained.evaluations)) == (1, 0)


def test_guidance_of_a_trained_null_is_planned(expanded: Expand, small: str) -> None:
    vectors = with_base(small, OWN + "classes: 1, vector: 3}")
    for text in (small, vectors):
        (run,) = expanded(text + GUIDED).runs
        assert run.evaluations[0].evaluation.sampling.guidance == 2
