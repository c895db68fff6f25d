"""Writes studies/README.md and studies/study.schema.json from the schema.

Run it as `python -m dit_core.study.language.handbook`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from dit_core.study.catalogue.figures import listed
from dit_core.study.language.editor_schema import editor_schema
from dit_core.study.language.field import Field
from dit_core.study.language.fields import evaluation_fields, execution_fields, science_fields
from dit_core.study.language.sections import section_of, sections
from dit_core.study.language.units import UNITS
from dit_core.study.science.claim_kinds import Claim

STUDIES = Path(__file__).parents[3] / "studies"
PAGE = Path(__file__).with_suffix(".md")


def markdown() -> str:
    """Return the text of studies/README.md: the page beside this file, its tables filled in."""
    claims = section_of(Claim).variants
    shared = set.intersection(*[set(model.model_fields) for model in claims.values()])
    parts = {
        "@FIGURES@": listed(code="`"),
        "@SCIENCE@": "\n".join(_section(name) for name in sections()),
        "@EVALUATE@": _table(list(evaluation_fields().values()), "evaluate."),
        "@EXECUTION@": _table(list(execution_fields().values()), "execution."),
        "@CLAIM_KEYS@": _claim_table(next(iter(claims.values())), shared),
        "@CLAIM_KINDS@": "\n".join(_kind(*row, shared) for row in claims.items()),
    }
    page = PAGE.read_text(encoding="utf-8")
    for mark, text in parts.items():
        page = page.replace(mark, text.rstrip("\n"))
    return page


def _section(name: str) -> str:
    """Return the chapter of one section of the science."""
    section = sections()[name]
    about = [
        f"`{word}`: {_prose(model)}" if section.key else _prose(model)
        for word, model in section.variants.items()
    ]
    rows = [row for row in science_fields().values() if row.path.startswith(f"{name}.")]
    return f"## Science: `{name}`\n\n{' '.join(about)}\n\n{_table(rows)}"


def _kind(name: str, model: type[BaseModel], shared: set[str]) -> str:
    """Return the chapter of one kind of claim: the keys that not all kinds have."""
    own = _claim_table(model, set(model.model_fields) - shared)
    return f"### `kind: {name}`\n\n{_prose(model)}\n\n{own}"


def _prose(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _table(fields: list[Field], prefix: str = "") -> str:
    rows = ["| key | type | unit | default | meaning |", "|---|---|---|---|---|"]
    for field in fields:
        only = f" Only for {' and '.join(field.owners)}." if field.owners else ""
        cells = [
            f"`{field.path}`",
            field.wants,
            UNITS.get(prefix + field.path, "–"),
            _default(field, prefix),
        ]
        rows.append(
            "| "
            + " | ".join(cell.replace("|", "\\|") for cell in [*cells, field.description + only])
            + " |"
        )
    return "\n".join(rows) + "\n"


SPECIAL = {
    "model.size": "–",
    "model.depth": "of `size`",
    "model.hidden": "of `size`",
    "model.heads": "of `size`",
    "train.images": "of `duration`",
    "evaluate.samples": "of the protocol",
    "evaluate.sampler": "`ddpm`; `euler` for flow",
}


def _default(field: Field, prefix: str) -> str:
    special = SPECIAL.get(prefix + field.path)
    if special:
        return special
    return "required" if field.required else f"`{_yaml(field.default)}`"


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _claim_table(model: type[BaseModel], names: set[str]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        if name in names:
            default = "required" if info.is_required() else f"`{_claim_default(info)}`"
            kind = "word" if name == "kind" else _claim_type(info.annotation)
            cells = [f"`{name}`", kind, default, " ".join((info.description or "").split())]
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _claim_default(info: Any) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    return _yaml(list(value) if isinstance(value, tuple) else value)


def _claim_type(annotation: Any) -> str:
    text = str(annotation)
    kinds = {
        "dict": "mapping of columns",
        "tuple": "list",
        "Literal": "word",
        "float": "number",
        "int": "number",
    }
    words = [word for key, word in kinds.items() if key in text]
    if "Literal" in text:
        words = [", ".join(str(a) for a in _literals(annotation))]
    optional = " or null" if "None" in text and "dict" not in text else ""
    return (words[0] if words else "text") + optional


def _literals(annotation: Any) -> list[Any]:
    found: list[Any] = []
    for part in get_args(annotation):
        if isinstance(part, str):
            found.append(part)
        else:
            found += _literals(part)
    return found


def main() -> None:
    """Write both files into the folder given, by default studies/ of this checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=STUDIES)
    folder = parser.parse_args().folder
    (folder / "README.md").write_text(markdown(), encoding="utf-8")
    (folder / "study.schema.json").write_text(editor_schema(), encoding="utf-8")
    print(f"{folder / 'README.md'}\n{folder / 'study.schema.json'}")


if __name__ == "__main__":
    main()
