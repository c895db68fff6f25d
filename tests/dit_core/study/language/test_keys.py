"""Every key and value of the language against typos, wrong types, strange names and paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dit_core.errors import StudyError
from dit_core.study.language.field import Field
from dit_core.study.language.fields import evaluation_fields, execution_fields, science_fields
from dit_core.study.language.sections import section_of
from dit_core.study.language.spec import KEYS, load_study
from dit_core.study.language.study_model import Study
from dit_core.study.science.claim_kinds import Claim

Load = Callable[[str], Study]


def error_of(study: Load, text: str) -> str:
    """Return the message of the error a study ends in, or an empty string where it is accepted."""
    try:
        study(text)
    except StudyError as error:
        return str(error)
    return ""


def typos(word: str) -> Iterator[str]:
    """Yield a letter left out, doubled, swapped, put in capitals, and a wrong one at the end."""
    middle = len(word) // 2
    yield word[:middle] + word[middle + 1 :]
    yield word[:middle] + word[middle] + word[middle:]
    yield word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]
    yield word.capitalize()
    yield word + "x"


def keys_in_context() -> Iterator[tuple[str, list[str], str]]:
    """Yield (key, its siblings, template of a study with KEY in the key's place)."""
    for key in KEYS:
        yield key, list(KEYS), "KEY: 1\n"
    for path, field in science_fields().items():
        section, _, name = path.partition(".")
        siblings = [p.partition(".")[2] for p in science_fields() if p.startswith(f"{section}.")]
        value = field.default if isinstance(field.default, int | float) else 1
        yield name, siblings, f"axes: {{{section}: {{KEY: [{value}]}}}}\n"
        for place in (f"axes: {{{section}.KEY: [1]}}\n", f"exclude: [{{{section}.KEY: 1}}]\n"):
            yield name, siblings, place
        yield name, siblings, f"evaluate: {{steps: 5, where: {{{section}.KEY: 1}}}}\n"
    for key in evaluation_fields():
        yield key, [*evaluation_fields(), "where"], "evaluate: {KEY: 1}\n"
    for key in execution_fields():
        yield key, list(execution_fields()), "execution: {KEY: 1}\n"
    for kind, model in section_of(Claim).variants.items():
        for key in model.model_fields:
            if key != "kind":
                start = f"claims: [{{id: a, text: b, metric: fid, kind: {kind}, "
                yield key, list(model.model_fields), start + "KEY: 1}]\n"


def test_every_key_mistyped_is_caught_and_most_are_guessed(
    study: Load, small: str, full: str
) -> None:
    caught = asked = guessed = 0
    missed = []
    for key, siblings, template in keys_in_context():
        for typo in dict.fromkeys(typos(key)):
            if typo in siblings or not typo:
                continue
            asked += 1
            message = error_of(study, small + template.replace("KEY", typo))
            found = re.search(
                rf"unknown key '(\w+\.)?{re.escape(typo)}'(, did you mean '(\w+\.)?{key}'\?)?",
                message,
            )
            caught += bool(found)
            guessed += bool(found and found[2])
            if not found:
                missed.append((typo, template, message))
    print(f"typos caught {caught} of {asked}; right word suggested {guessed} of {asked}")
    assert not missed
    assert asked > 900
    assert guessed / asked > 0.8


def test_the_issue_s_typo_names_line_path_nearest_and_allowed(study: Load, small: str) -> None:
    message = error_of(study, small.replace("model: {size", "model: {sise"))
    assert re.search(
        r"x\.yaml:4: model\.sise: unknown key 'sise', did you mean 'size'\?; allowed: .*size",
        message,
    )
    message = error_of(study, small.replace("  model:", "  modle:"))
    assert (
        "x.yaml:4: modle: unknown key 'modle', did you mean 'model'?; allowed: model, data, "
        "objective" in message
    )


SAMPLES: dict[str, Any] = {
    "abc": "abc",
    "7": 7,
    "-3": -3,
    "0": 0,
    "1.5": 1.5,
    "true": True,
    "null": None,
    "[1]": [1],
    "{a: 1}": {"a": 1},
    "'1'": "1",
    "yes": "yes",
    "010": "010",
    "1:30": "1:30",
    "0x1F": "0x1F",
    "2024-01-01": "2024-01-01",
    ".nan": ".nan",
    "-.inf": "-.inf",
    "[]": [],
    "[[1]]": [[1]],
}


def allowed_by(schema: dict[str, Any], value: Any) -> bool:
    """Return whether a value is of a JSON schema: the oracle against which the study language is
    held.
    """
    if "anyOf" in schema:
        return any(allowed_by(part, value) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return isinstance(value, str) and value in schema.get("enum", [schema.get("const")])
    kinds: dict[str, Any] = {
        "integer": int,
        "number": (int, float),
        "string": str,
        "boolean": bool,
        "null": type(None),
    }
    if schema["type"] == "object":
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    if not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, bool):
        return bool(schema["type"] == "boolean")
    if isinstance(value, str):
        return bool(re.search(schema.get("pattern", ""), value))
    checks = {
        "minimum": "__ge__",
        "exclusiveMinimum": "__gt__",
        "maximum": "__le__",
        "exclusiveMaximum": "__lt__",
    }
    return all(
        getattr(float(value), method)(schema[key])
        for key, method in checks.items()
        if key in schema
    )


def values_in_context() -> Iterator[tuple[Field, str, bool]]:
    """Yield (field, template of a study with VALUE in the field's place, whether a list there means
    several values).
    """
    for path, field in science_fields().items():
        section, _, name = path.partition(".")
        yield field, f"study: a\nquestion: b\nbase: {{{section}: {{{name}: VALUE}}}}\n", False
        yield field, f"study: a\nquestion: b\nbase: {{}}\naxes: {{{path}: [VALUE]}}\n", False
        yield field, f"study: a\nquestion: b\nbase: {{}}\nexclude: [{{{path}: VALUE}}]\n", True
    for name, field in evaluation_fields().items():
        yield field, f"study: a\nquestion: b\nbase: {{}}\nevaluate: {{{name}: [VALUE]}}\n", False
    for name, field in execution_fields().items():
        yield field, f"study: a\nquestion: b\nbase: {{}}\nexecution: {{{name}: VALUE}}\n", False


def test_wrong_types_are_refused_and_right_ones_taken_for_every_field(study: Load) -> None:
    asked = 0
    wrong_accepted = []
    right_refused = []
    unplaced = []
    for field, template, lists in values_in_context():
        schema = field.adapter.json_schema()
        for written, value in SAMPLES.items():
            asked += 1
            if field.parse:
                fine = False
            elif lists and isinstance(value, list):
                fine = bool(value) and all(allowed_by(schema, item) for item in value)
            else:
                fine = allowed_by(schema, value)
            message = error_of(study, template.replace("VALUE", written))
            where = (field.path, written, message)
            wrong_accepted += [where] if not message and not fine else []
            right_refused += [where] if message and fine else []
            unplaced += (
                [where]
                if message and not re.search(rf"x\.yaml:\d+: .*{field.path}", message)
                else []
            )
    print(
        f"wrong values accepted {len(wrong_accepted)}, right ones refused {len(right_refused)}, of "
        f"{asked}"
    )
    assert not wrong_accepted
    assert not right_refused
    assert not unplaced


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("train.lr: abc", "x.yaml:4: train.lr: given 'abc' (text); wants a number > 0"),
        ("train.lr: -0.0", "x.yaml:4: train.lr: given 0.0; wants a number > 0"),
        ("train.lr: .nan", "x.yaml:4: train.lr: given '.nan' (not finite); wants a number > 0"),
        (
            "train.batch: 010",
            "given '010' (text; numbers are decimal, without leading zeros); wants a whole",
        ),
        ("train.batch: 1.5", "x.yaml:4: train.batch: given 1.5; wants a whole number > 0"),
        ("train.batch: [32, 64]", "(lists of values go under `axes`, `zip` or `include`)"),
        (
            "data.flip: yes",
            "given 'yes' (text; write true or false, unquoted); wants true or false",
        ),
        (
            "model.conditioning: adaln_zero",
            "given 'adaln_zero', did you mean 'adaln-zero'?; wants one of adaln-zero, ",
        ),
        ("train.duration: 400", 'given 400 (a bare number has no unit); wants "400k steps"'),
        ("train.duration: 4 eopchs", "unknown unit 'eopchs', did you mean 'epochs'?"),
        ("train.duration: 0 steps", "wants more than 0"),
        ("train.duration: 1.5 steps", "wants a whole number of steps"),
        ("train.duration: -5 steps", "train.duration: given '-5 steps'"),
        ("model: 5", "x.yaml:4: model: given 5; wants a mapping"),
        ("model: [size, S]", "x.yaml:4: model: given a list ['size', 'S']; wants a mapping"),
        ("data.name: ../../x", "x.yaml:4: data.name: given '../../x'; wants text of the form"),
        ("data.name: ${HOME}", "x.yaml:4: data.name: given '${HOME}'; wants text of the form"),
        ("data.name: '{x}'", "x.yaml:4: data.name: given '{x}'; wants text of the form"),
    ],
)
def test_wrong_values_say_what_was_given_and_what_is_wanted(
    study: Load, line: str, wanted: str
) -> None:
    assert wanted in error_of(study, f"study: a\nquestion: b\nbase:\n  {line}\n")


def test_all_problems_of_a_file_are_reported_at_once(study: Load) -> None:
    message = error_of(
        study, "study: A\nbase:\n  train: {lr: x, batch: y}\n  modle: {}\nevalute: 1\naxes: 3\n"
    )
    lines = [line.split("x.yaml:")[1] for line in message.splitlines()]
    assert len(lines) == 7
    assert sorted({int(line.split(":")[0]) for line in lines}) == [1, 3, 4, 5, 6]


def test_words_of_yaml_1_1_are_taken_only_where_the_schema_has_them(
    study: Load, small: str
) -> None:
    assert study(small + "execution: {compile: off}\n").execution.compile == "off"
    assert study(small + "execution: {compile: on}\n").execution.compile == "on"
    assert "wants one of auto, on, off" in error_of(study, small + "execution: {compile: true}\n")
    assert study(small.replace("study: small", "study: no")).name == "no"


BAD_NAMES = [
    "..",
    ".",
    "../../x",
    "/abs",
    "-rf",
    "CON",
    "con",
    "con.txt",
    "a" * 300,
    "%j",
    "$(id)",
    "a;b",
    '"a\\nb"',
    "{x}",
    "'{x}'",
    "${HOME}",
    "a b",
    "a/b",
    "a\\b",
    "x..y",
    "x.",
    "_x",
    "A",
    "p\u0430per",
    "caf\u00e9",
    "cafe\u0301",
    "'~'",
    "*",
    "published",
    "''",
    "12",
    "true",
    "null",
    "[a]",
    "a\u0000b",
    "nul",
    "'a '",
    "\U0001f600",
]


def test_strange_study_names_are_refused_and_no_file_appears(tmp_path: Path, small: str) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    refused = 0
    for name in BAD_NAMES:
        path = folder / "x.yaml"
        path.write_bytes(small.replace("study: small", f"study: {name}").encode())
        with pytest.raises(StudyError) as caught:
            load_study(path)
        assert "x.yaml:1:" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        assert str(caught.value).isprintable()
        refused += 1
    outside = [p for p in tmp_path.rglob("*") if p != folder and p.name != "x.yaml"]
    print(
        f"bad names refused {refused} of {len(BAD_NAMES)}; files created outside the root "
        f"{len(outside)}"
    )
    assert not outside


def test_braces_and_variables_in_text_are_kept_as_they_are(
    study: Load, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/expanded")
    loaded = study(
        small.replace("What?", "Does {x} beat ${HOME} and %(y)s?")
        + "execution: {data_roots: {a: '$HOME/b'}}\n"
    )
    assert loaded.question == "Does {x} beat ${HOME} and %(y)s?"
    assert loaded.execution.data_roots == {"a": "$HOME/b"}


def test_two_claims_with_one_id_are_refused(study: Callable[[str], Study], small: str) -> None:
    claim = "  - {id: a, text: b, kind: threshold, metric: fd_digits, at_most: 1}\n"
    lines = small.count("\n")
    wanted = (
        rf"x\.yaml:{lines + 4}: claims\[2\]\.id: id 'a' is given twice, "
        rf"here and in .*x\.yaml:{lines + 2}; rename one"
    )
    with pytest.raises(StudyError, match=wanted):
        study(small + "claims:\n" + claim + claim.replace("id: a", "id: c") + claim)
    assert study(small + "claims:\n" + claim + claim.replace("id: a", "id: c")).claims


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("where", "{model_hidden: {a: b}}"),
        ("where", "{patch: [[4]]}"),
        ("order", "[null, 4]"),
        ("order", "nan < inf"),
    ],
)
def test_a_value_of_no_type_is_one_line(study: Load, small: str, key: str, value: str) -> None:
    good = "id: a, text: b, metric: fid, kind: order, by: patch, order: 4 < 8"
    claim = f"claims: [{{{good}, {key}: {value}}}]\n"
    if key == "order":
        claim = claim.replace("order: 4 < 8, ", "")
    (line,) = error_of(study, small + claim).splitlines()
    assert re.search(
        rf"x\.yaml:\d+: claims\[0\]\.{key}\S*: given .*; wants a finite number, text, true or "
        r"false",
        line,
    )
