"""The table of pipeline stages: it is the whole model, cut where no stage waits long for
another.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from dit_sciences import DESIGNS, published, small

from dit_core.cli.shared.stages_table import table
from dit_core.errors import UserError
from dit_core.study.price import cost
from dit_core.study.price.stages import balanced, stages_of
from dit_core.study.science.science import SIZES, Data

ROOT = Path(__file__).parents[4]


def is_whole(science, count: int) -> bool:
    stages = stages_of(science, count)
    spans = [range(s.first, s.last + 1) for s in stages]
    assert [*itertools.chain(*spans)] == [*range(science.model.depth)]
    sums = sum(s.macs for s in stages), sum(s.params for s in stages)
    return sums == (cost.fwd_macs(science), cost.params(science))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("size", SIZES)
def test_stages_sum_to_the_model(size: str, design: str):
    science = published(size, 4, conditioning=design)
    assert all(is_whole(science, count) for count in range(1, science.model.depth + 1))


@pytest.mark.parametrize("name", ["digits-measured", "digits-half"])
@pytest.mark.parametrize("entry", ["concat", "cross-attention"])
def test_further_conditions_are_summed_and_sent(name: str, entry: str):
    from dit_core.study.science.data import BUILT_IN

    science = small(data=BUILT_IN[name], depth=5, map_entry=entry)
    assert all(is_whole(science, count) for count in range(1, 6))
    patches = 16 if (name, entry) == ("digits-half", "cross-attention") else 0
    stage = stages_of(science, 2)[1]
    assert (stage.condition_vector, stage.condition_sequence) == (48, patches * 48)


def test_a_stage_is_sent_what_its_blocks_take():
    sent = {}
    for design in DESIGNS:
        stages = stages_of(small(conditioning=design, depth=4), 2)
        sent[design] = (
            stages[0].sent_bytes,
            stages[1].condition_vector,
            stages[1].condition_sequence,
        )
        assert stages[1].sent_bytes == 0
    assert sent["adaln-zero"] == sent["adaln"] == (16 * 48 * 4, 48, 0)
    assert sent["cross-attention"] == (16 * 48 * 4, 0, 2 * 48)
    assert sent["in-context"] == (18 * 48 * 4, 0, 0)
    science = small(depth=4)
    narrow = science.model_copy(
        update={"train": science.train.model_copy(update={"precision": "bf16"})}
    )
    assert stages_of(narrow, 2)[0].sent_bytes == 16 * 48 * 2
    assert stages_of(narrow, 2)[0].condition_bytes == 48 * 2


def costliest(science, blocks: tuple[int, ...] | list[int]) -> int:
    loads = [n * cost.block_macs(science) for n in blocks]
    loads[0] += cost.entry_macs(science)
    loads[-1] += cost.exit_macs(science)
    return max(loads)


@pytest.mark.parametrize("count", range(1, 8))
def test_no_other_split_has_a_cheaper_costliest_stage(count: int):
    # Embeddings of 64 x 64 values in patches of 32 cost more than a block here, so that the first
    # stage takes few.
    data = Data(name="large", kind="npz", channels=8, height=64, width=64, classes=2, images=100)
    science = small(data=data, depth=8, hidden=16, heads=2, patch=32)
    assert cost.entry_macs(science) > 2 * cost.block_macs(science)
    others = (c for c in itertools.product(range(1, 9), repeat=count) if sum(c) == 8)
    assert costliest(science, balanced(science, count)) == min(
        costliest(science, other) for other in others
    )


@pytest.mark.parametrize("count", [0, -1, 3])
def test_more_stages_than_blocks_are_refused(count: int):
    with pytest.raises(
        UserError, match=rf"--stages {count}: a model of 2 blocks has 1 to 2 stages"
    ):
        stages_of(small(), count)


def test_the_docs_print_the_table_of_xl_2():
    lines = table(stages_of(published("XL", 2), 4))
    assert max(map(len, lines)) <= 80
    assert "\n".join(lines) in (ROOT / "docs" / "model.md").read_text()
