"""The strict YAML reader: what it takes, and that hostile text ends in one readable line."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
import yaml

from dit_core.errors import StudyError
from dit_core.study.language import yaml_loader
from dit_core.study.language.spec import load_study
from dit_core.study.language.yaml_loader import plain_scalar, read_yaml


def problem(path: Path) -> str:
    """Return the message of the error that loading a file ends in."""
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert caught.value.exit_code == 2
    assert all(
        line.startswith(str(path)) or line.startswith("... and")
        for line in str(caught.value).splitlines()
    )
    return str(caught.value).replace(str(path), "x.yaml")


def put(folder: Path, data: bytes | str) -> Path:
    path = folder / "x.yaml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_alias_bomb_is_refused_at_once_and_costs_no_memory(tmp_path: Path) -> None:
    rows = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    path = put(tmp_path, "\n".join(rows))
    put(tmp_path, "\n".join(rows))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    text = problem(path)
    seconds = time.process_time() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"alias bomb of {path.stat().st_size} bytes: {seconds * 1e3:.1f} ms, {megabytes:.1f} MB")
    assert "x.yaml:1: a0: anchor &a0 refused" in text
    assert "x.yaml:2: a1: alias *a0 refused" in text
    assert seconds < 0.1
    assert megabytes < 50


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with the parser in C and with the one in Python: both must refuse the same text."""
    monkeypatch.setattr(yaml_loader, "LOADER", getattr(yaml, request.param))
    return str(request.param)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("study: &a [*a]\n", "x.yaml:1: study: anchor &a refused"),
        (
            "study: x\nbase: !!python/object/apply:os.system ['touch canary']\n",
            "x.yaml:2: base: tag",
        ),
        ("study: x\nbase: !x 1\n", "x.yaml:2: base: tag '!x' refused"),
        ("study: !!str 1\n", "x.yaml:1: study: tag"),
        ("a: {b: 1}\n<<: {c: 2}\n", "x.yaml:2: merge key << refused"),
        ("study: x\nstudy: y\n", "x.yaml:2: key 'study' is given twice, in lines 1 and 2"),
        (
            "base:\n  model:\n    size: S\n    size: M\n",
            "x.yaml:4: base.model: key 'size' is given twice, in lines 3 and 4",
        ),
        ("1: x\n", "x.yaml:1: a key must be a word, given 1"),
        ("true: x\n", "x.yaml:1: a key must be a word, given true"),
        ("? [a, b]\n: x\n", "x.yaml:1: a key must be a word, given a list"),
        ("? {a: b}\n: x\n", "x.yaml:1: a key must be a word, given a mapping"),
        ("~: x\n", "x.yaml:1: a key must be a word, given nothing (null)"),
        ("study: x\n---\nstudy: y\n", "x.yaml:2: a second YAML document starts here"),
        ("%YAML 1.1\n---\nstudy: x\n", "YAML directives"),
        ("", "x.yaml:1: the file is empty"),
        ("# only a comment\n", "x.yaml:1: the file is empty"),
        ("- a\n- b\n", "x.yaml:1: a study is a mapping of keys, given a list ['a', 'b']"),
        ("word\n", "x.yaml:1: a study is a mapping of keys, given 'word'"),
        ("study: [a\n", "x.yaml:2: not readable as YAML"),
        ("study: x\n\tbase: y\n", "x.yaml:2: column 1 holds U+0009"),
        ("study: x\nquestion: a\x00b\n", "x.yaml:2: column 12 holds U+0000"),
        ("study: x\nquestion: a\x1bb\n", "x.yaml:2: column 12 holds U+001B"),
        (
            "study: x\nquestion: a\u202eb\n",
            "x.yaml:2: column 12 holds U+202E RIGHT-TO-LEFT OVERRIDE",
        ),
        ("study: di\u200bgits\n", "x.yaml:1: column 10 holds U+200B ZERO WIDTH SPACE"),
        ("study: x\u2028y: 1\n", "x.yaml:1: column 9 holds U+2028 LINE SEPARATOR"),
        (
            "m\u043edel: 1\n",
            "x.yaml:1: a key is written in ASCII, given 'm\u043edel' (holds U+043E CYRILLIC SMALL "
            "LETTER O)",
        ),
        ("e\u0301: 1\n\u00e9: 2\n", "x.yaml:1: a key is written in ASCII"),
        ("lr: 1e400\n", "x.yaml:1: lr: number '1e400' is not finite"),
        ("lr: 1e-400\n", "x.yaml:1: lr: number '1e-400' is too small to be told from 0"),
        (f"n: {'9' * 5000}\n", "x.yaml:1: n: number '9999"),
        (f"n: {2**63}\n", "does not fit 64 bits"),
        (f"{'k' * 2000}: 1\n", "x.yaml:1:"),
    ],
)
def test_hostile_text_is_one_line_with_its_place(
    tmp_path: Path, loader: str, text: str, wanted: str
) -> None:
    assert wanted in problem(put(tmp_path, text))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.yaml"]


@pytest.mark.parametrize(
    "text", ["[" * 2000, "{a: " * 2000, "- " * 2000, "".join(" " * i + "a:\n" for i in range(1000))]
)
def test_deep_nesting_is_refused(tmp_path: Path, loader: str, text: str) -> None:
    assert "nested deeper than 50 levels" in problem(put(tmp_path, text))


def test_a_file_over_a_megabyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with open(path, "wb") as file:
        file.truncate(50_000_000)
    start = time.process_time()
    assert "50,000,000 bytes; a study file has at most 1,000,000" in problem(path)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    "data", [b"study: \xff\xfe\n", "study: x\n".encode("utf-16"), b"\x89PNG\r\n\x1a\n"]
)
def test_other_encodings_are_refused(tmp_path: Path, data: bytes) -> None:
    assert "not UTF-8 text" in problem(put(tmp_path, data))


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="not a file"):
        load_study(tmp_path)
    put(tmp_path, "study: x\n").rename(tmp_path / "widths.yaml")
    with pytest.raises(
        StudyError, match=r"width\.yaml: no such file, did you mean 'widths.yaml'\?"
    ):
        load_study(tmp_path / "width.yaml")
    with pytest.raises(StudyError, match=r"nothere\.yaml: no such file$"):
        load_study(tmp_path / "nothere.yaml")
    (tmp_path / "broken.yaml").symlink_to("gone.yaml")
    with pytest.raises(StudyError, match=r"broken\.yaml: a broken link: 'gone\.yaml' is not there"):
        load_study(tmp_path / "broken.yaml")
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path / "a\0b.yaml")


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path, full: str) -> None:
    plain = load_study(put(tmp_path, full))
    windows = load_study(put(tmp_path, b"\xef\xbb\xbf" + full.replace("\n", "\r\n").encode()))
    same = (
        "name",
        "question",
        "base",
        "axes",
        "zip",
        "exclude",
        "include",
        "evaluate",
        "execution",
        "claims",
    )
    assert {key: getattr(windows, key) for key in same} == {
        key: getattr(plain, key) for key in same
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E-4", 1e-4),
        ("1.5e+3", 1500.0),
        ("0.0001", 1e-4),
        (".5", 0.5),
        ("1.", 1.0),
        ("50_000", 50_000),
        ("1_000.5", 1000.5),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("-0.0", 0.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_plain_words_that_are_values(text: str, value: object) -> None:
    got = plain_scalar(text)
    assert got == value
    assert type(got) is type(value)
    assert str(got) == str(value)  # -0.0 becomes 0.0


WORDS = (
    "no yes on off True FALSE Null 010 0o17 0x1F 0b1 12:30:45 2024-01-01 "
    ".nan .inf -.inf nan inf 1__0 1_ _1 1e ="
)


@pytest.mark.parametrize("text", WORDS.split())
def test_plain_words_that_stay_text(text: str) -> None:
    assert plain_scalar(text) == text


def test_lines_are_those_of_the_keys() -> None:
    top = read_yaml("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n", "x.yaml")
    assert [top.value["a"].place.line, top.value["a"].value["c"].place.line] == [1, 3]
    items = top.value["a"].value["c"].value
    assert [item.place.line for item in items] == [4, 5]
    assert top.plain() == {"a": {"b": 1, "c": ["x", {"d": 2}]}}


def test_a_comma_in_a_number_is_named(tmp_path: Path) -> None:
    start = "study: a\nquestion: b\n"
    text = problem(put(tmp_path, start + "base: {train: {duration: 20,000 steps, batch: 8}}\n"))
    assert text.endswith(
        "x.yaml:3: base.train.duration: given '20,000 steps'; leave out the comma: 20000 steps"
    )
    text = problem(put(tmp_path, start + "base:\n  train.duration: 20,000 steps\n"))
    assert "given '20,000 steps'; leave out the comma; wants" in text
