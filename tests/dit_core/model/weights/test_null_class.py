"""Whether a network of others has a null class: told by the number of classes, never guessed."""

from __future__ import annotations

import argparse
import json

import pytest
import torch
from dit_sciences import LATENT, shaken, small

from dit_core.cli.app import main
from dit_core.errors import UserError
from dit_core.model.build import build_model
from dit_core.model.weights.described import Described
from dit_core.model.weights.files import read_foreign, write_released
from dit_core.model.weights.folder import write_diffusers
from dit_core.model.weights.released import LABELS, to_released

DATA = LATENT.model_copy(update={"height": 8, "width": 8, "classes": 5})


@pytest.fixture
def released():
    science = small(data=DATA)
    return to_released(shaken(build_model(science)).state_dict(), science)


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main([str(a) for a in args])
    return leaving.value.code or 0


def test_a_table_of_as_many_rows_as_classes_has_no_null(released, tmp_path, store, capsys):
    path = tmp_path / "a.pt"
    torch.save(released, path)  # six rows
    with_null = read_foreign(path, Described(heads=2, classes=5)).science
    without = read_foreign(path, Described(heads=2, classes=6)).science
    assert (with_null.data.classes, with_null.train.label_dropout) == (5, 0.1)
    assert (without.data.classes, without.train.label_dropout) == (6, 0)
    assert run("import", path, "--heads", 2, "--classes", 6, "--json") == 0
    run_id = json.loads(capsys.readouterr().out)["run_id"]
    assert run("sample", run_id, "--steps", 2, "--guidance", "1,2") == 2
    assert "`guidance` other than 1 needs label_dropout > 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"data": "mine"}, "6 rows, which are 5 classes and the null class, or 6 classes"),
        ({"classes": 4}, "6 rows, data 'imagenet' have 4 classes"),
        ({}, "6 rows, data 'imagenet' have 1000 classes"),
    ],
)
def test_a_number_of_classes_that_is_unknown_or_wrong_is_refused(
    described, words, released, tmp_path
):
    torch.save(released, tmp_path / "a.pt")
    with pytest.raises(UserError, match=words):
        read_foreign(tmp_path / "a.pt", Described(heads=2, **described))


def test_the_stored_arguments_tell_the_number_of_classes(released, tmp_path):
    for classes, dropout in ((5, 0.1), (6, 0.0)):
        args = argparse.Namespace(num_classes=classes)
        torch.save({"ema": released, "args": args}, tmp_path / "a.pt")
        train = read_foreign(tmp_path / "a.pt", Described(heads=2)).science.train
        assert train.label_dropout == dropout


def test_a_network_without_a_null_is_written_without_one(released, tmp_path):
    torch.save(released, tmp_path / "a.pt")
    found = read_foreign(tmp_path / "a.pt", Described(heads=2, classes=6))
    write_released(tmp_path / "b.pt", found.weights, found.science)
    back = torch.load(tmp_path / "b.pt", weights_only=True)
    assert back.keys() == released.keys()
    assert all(torch.equal(back[name], released[name]) for name in released)
    assert len(back[LABELS]) == 6
    with pytest.raises(UserError, match="label_dropout 0 has no null class"):
        write_diffusers(tmp_path / "c", found.weights, found.science)
