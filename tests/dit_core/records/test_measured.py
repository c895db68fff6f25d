"""Measured studies travel with the package and are unpacked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dit_core.errors import EnvironmentProblem
from dit_core.records import measured
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
