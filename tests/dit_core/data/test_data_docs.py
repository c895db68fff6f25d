"""docs/data.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from dit_core.cli.app import main
from dit_core.data.sets import measures, spatial, tables
from dit_core.study.science.science import Data

TEXT = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_example_is_valid_data_with_a_place():
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1])
    data = Data(**example["base"]["data"])
    assert data.name in example["execution"]["data_roots"]


def test_every_kind_has_its_row():
    kinds = get_args(Data.model_fields["kind"].annotation)
    assert set(kinds) <= set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))


def test_every_option_and_function_named_exists(capsys):
    with pytest.raises(SystemExit):
        main(["encode", "--help"])
    options = capsys.readouterr().out
    section = TEXT.split("## Latents")[1].split("## Conditions")[0]
    named = set(re.findall(r"(?<![\w-])--[a-z]+", section))
    assert {"--vae", "--part", "--verify"} <= named
    assert [option for option in named if option not in options] == []
    for module in (measures, spatial, tables):
        for function in re.findall(rf"`{module.__name__.rpartition('.')[2]}\.(\w+)", TEXT):
            assert callable(getattr(module, function))
