"""`ditlab pack` and `unpack`: the same records come out, and nothing else gets in."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest
from command_line import answer
from housekeeping import store_with_weights

from analysis.tables import load
from dit_core.records.paths import Store
from dit_core.records.upkeep.pack import pack, unpack


@pytest.mark.parametrize("weights", [False, True])
def test_round_trip(tmp_path, capsys, weights):
    store, _found = store_with_weights(tmp_path / "a")
    (store.study("made") / "report").mkdir()
    (store.study("made") / "report" / "index.html").write_text("<p>report</p>")
    archive = tmp_path / "made.tar.gz"
    words = ["--weights"] if weights else []
    code, out, _ = answer(
        capsys,
        "pack",
        "made",
        "--results",
        str(store.root),
        "--out",
        str(archive),
        "--json",
        *words,
    )
    assert code in (0, None)
    assert json.loads(out)["runs"] == 2
    for expected in ("files added", "0 files added"):
        code, out, _ = answer(capsys, "unpack", str(archive), "--results", str(tmp_path / "b"))
        assert expected in out
    copied = Store(tmp_path / "b")
    for table in ("runs", "evals", "metrics", "attempts"):
        assert getattr(load, table)(copied.root, "made").equals(
            getattr(load, table)(store.root, "made")
        )
    assert (copied.study("made") / "report" / "index.html").exists()
    names = {p.name for p in copied.root.rglob("*")}
    assert ("weights.bin" in names) == weights
    assert "log.txt" not in names
    assert "checkpoints" not in names


def test_same_records_same_bytes(tmp_path):
    store, found = store_with_weights(tmp_path / "a")
    ids = [p.root.name for p in found]
    for name in ("one", "two"):
        pack(store, "made", ids if name == "one" else reversed(ids), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_contradiction_writes_nothing(tmp_path, capsys):
    store, found = store_with_weights(tmp_path / "a")
    archive = tmp_path / "made.tar.gz"
    pack(store, "made", [p.root.name for p in found], archive)
    other = Store(tmp_path / "b")
    unpack(archive, other)
    victim = next(other.run(found[0].root.name).evals.glob("*.json"))
    victim.write_text("{}")
    found[1].outcome.unlink()
    (other.run(found[1].root.name).outcome).unlink()
    before = {p: p.read_bytes() for p in other.root.rglob("*") if p.is_file()}
    code, _, err = answer(capsys, "unpack", str(archive), "--results", str(other.root))
    assert code == 1
    assert "nothing was written" in err
    assert {p: p.read_bytes() for p in other.root.rglob("*") if p.is_file()} == before


RUN = "runs/ab/" + "ab" * 8
HOSTILE = {
    "up": ("../outside.json", b"x", tarfile.REGTYPE),
    "up inside": (f"{RUN}/evals/../../../../../outside.json", b"x", tarfile.REGTYPE),
    "absolute": ("/tmp/ditlab-outside.json", b"x", tarfile.REGTYPE),
    "link": (f"{RUN}/run.yaml", b"", tarfile.SYMTYPE),
    "hard link": (f"{RUN}/run.yaml", b"", tarfile.LNKTYPE),
    "device": (f"{RUN}/run.yaml", b"", tarfile.CHRTYPE),
    "pickle beside": (f"{RUN}/evil.pkl", b"x", tarfile.REGTYPE),
    "hidden": (f"{RUN}/evals/.evil.json", b"x", tarfile.REGTYPE),
    "newline": (f"{RUN}/evals/a\nb.json", b"x", tarfile.REGTYPE),
    "other folder": ("index/manifest.json", b"x", tarfile.REGTYPE),
    "not what the manifest says": (f"{RUN}/run.yaml", b"x", tarfile.REGTYPE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_writes_nothing(tmp_path, capsys, name):
    member, data, kind = HOSTILE[name]
    digest = "0" * 64 if name.startswith("not") else hashlib.sha256(data).hexdigest()
    manifest = {
        "schema": 1,
        "study": "x",
        "runs": [],
        "files": {member: {"size": len(data), "sha256": digest}},
    }
    archive = tmp_path / "x.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.type = kind
        info.size = len(data)
        info.linkname = "/etc/passwd"
        tar.addfile(info, io.BytesIO(data))
        text = json.dumps(manifest).encode()
        info = tarfile.TarInfo("MANIFEST.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    code, _, err = answer(
        capsys, "unpack", str(archive), "--results", str(tmp_path / "inner" / "b")
    )
    assert code in (1, 2), err
    assert "error: " in err
    assert [p.name for p in tmp_path.rglob("*")] == ["x.tar.gz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "no archive", "absent", "no manifest"])
def test_damaged_archive_writes_nothing(tmp_path, capsys, damage):
    store, found = store_with_weights(tmp_path / "a", 1)
    archive = tmp_path / "made.tar.gz"
    pack(store, "made", [found[0].root.name], archive)
    data = bytearray(archive.read_bytes())
    if damage == "cut":
        archive.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[len(data) // 2] ^= 4
        archive.write_bytes(data)
    elif damage == "no archive":
        archive.write_text("hello")
    elif damage == "absent":
        archive.unlink()
    else:
        with tarfile.open(archive, "w:gz"):
            pass
    code, _, err = answer(capsys, "unpack", str(archive), "--results", str(tmp_path / "b"))
    assert code in (1, 2)
    assert err.startswith("error: ")
    assert not (tmp_path / "b").exists()
