"""Every kind of claim has the file that judges it, and the other way round."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import get_args

import analysis.claims.kinds as judges
from dit_core.study.science.claim_kinds import Claim


def test_each_kind_has_its_file_and_each_file_its_kind():
    union, _ = get_args(Claim)
    kinds = {get_args(model.model_fields["kind"].annotation)[0] for model in get_args(union)}
    (folder,) = judges.__path__
    files = {path.stem for path in Path(folder).glob("*.py")} - {"__init__"}
    assert files == kinds
    assert all(callable(import_module(f"{judges.__name__}.{kind}").judge) for kind in kinds)
