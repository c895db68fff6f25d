"""Measured studies travel with the package and are unpacked once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import answer

from dit_core.errors import EnvironmentProblem
from dit_core.records import measured
from dit_core.records.paths import Store
from dit_core.records.plan import study_names


@pytest.fixture(autouse=True)
def assets(tmp_path: Path, monkeypatch) -> Path:
    """Return an empty assets folder."""
    monkeypatch.setenv("DITLAB_ASSETS", str(tmp_path / "assets"))
    return tmp_path / "assets"


@pytest.mark.parametrize("name", sorted(measured.measured_archives()))
def test_every_archive_opens_and_holds_its_study(name: str, assets: Path):
    store = measured.measured_store(name)
    assert store is not None
    assert study_names(store) == [name]
    assert store.run_ids()
    assert measured.measured_store(name) == store
    assert [path.name.startswith(name) for path in (assets / "measured").iterdir()] == [True]


def test_the_archives_are_small():
    sizes = [path.stat().st_size for path in measured.measured_archives().values()]
    assert 0 < sum(sizes) <= 5_000_000


def test_an_unknown_name_is_none():
    assert measured.measured_store("nothing-of-the-kind") is None


def test_a_folder_that_cannot_be_written_is_one_line(assets: Path):
    assets.parent.mkdir(exist_ok=True)
    assets.write_text("a file in the way")
    name = next(iter(measured.measured_archives()))
    with pytest.raises(EnvironmentProblem, match="DITLAB_ASSETS"):
        measured.measured_store(name)


def test_a_study_of_the_results_comes_before_the_measured_one(tmp_path: Path):
    empty = Store.at(tmp_path / "results")
    found = measured.reading_store("digits", empty)
    assert found != empty
    assert study_names(found) == ["digits"]
    shutil.copytree(found.study("digits"), empty.study("digits"))
    assert measured.reading_store("digits", empty) == empty
    assert measured.reading_store("unknown", empty) == empty


def test_claims_answer_from_the_measured_study(tmp_path: Path, capsys):
    code, out, _ = answer(capsys, "claims", "digits", "--results", str(tmp_path / "none"), "--json")
    assert code == 0
    judged = json.loads(out)["claims"]
    verdicts = {claim["id"]: claim["verdict"] for claim in judged}
    assert verdicts["adaln-zero-best"] == "SUPPORTED"
    assert not (tmp_path / "none" / "runs").exists()
