"""Writes studies/README.md and studies/study.schema.json from the schema: `python -m
dit_core.study.language.handbook`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from dit_core.study.catalogue.figures import FIGURES
from dit_core.study.language.editor_schema import editor_schema
from dit_core.study.language.fields import (
    Field,
    evaluation_fields,
    execution_fields,
    science_fields,
    section_of,
    sections,
)
from dit_core.study.language.units import UNITS
from dit_core.study.science.claim_kinds import Claim

STUDIES = Path(__file__).parents[3] / "studies"
HEAD = """\
# Studies

One YAML file is one study: a question, the runs that answer it, the evaluations asked of them. This page is generated
from the schema (`python -m dit_core.study.language.handbook`) and tested equal to it; `study.schema.json` is the same for
editors: put `# yaml-language-server: $schema=study.schema.json` in the first line of a study.

```yaml
study: digits
question: Does quality follow forward compute?
base:
  model: {size: XS, patch: 2}
  train: {duration: 1500 steps, batch: 64, lr: 1e-3}
axes:
  model.size: [XXS, XS]
  model.patch: [4, 2, 1]
evaluate:
  - {at: [50%, end], sampler: ddpm, steps: [10, 50]}
```

`ditlab plan studies/digits.yaml` prints its runs and what they cost; `ditlab run` carries them out.

## How a file is read

- UTF-8, at most 1 MB, one document. Unknown keys, duplicate keys, tabs, invisible characters, anchors, aliases, tags
  and merge keys are errors; every problem of the file is reported at once, with its line.
- Numbers: `1e-4`, `0.0001`, `50_000`. A whole number may be written `256.0`. Only `true` and `false` are truth values;
  `no`, `010` and `12:30` are text. Not-a-number and infinities are errors.
- Text is taken as it stands: `${HOME}` and `{x}` are never expanded.
- A science path is a section and a field, nested (`model: {patch: 2}`) or dotted (`model.patch: 2`).
- Every field of the science, defaults included, enters the id of a run (16 hexadecimal digits). Evaluations,
  execution, claims, figures, the study's name and the order of keys and axes do not.

## Top-level keys

| key | type | meaning |
|---|---|---|
| `study` | text, required | Name: lower-case letters, digits, `.`, `_`, `-`; at most 64; the folder of its results. |
| `question` | text, required | The question in one sentence. |
| `extends` | file name | Another study file in the same folder or below. Its keys, but `study` and `question`, hold \
where this file does not give them: mappings are merged key by key, all else is taken as a whole. |
| `base` | mapping, required | Science path to value: what all runs start from. |
| `axes` | mapping | Science path to list of values: the full grid. |
| `zip` | list of mappings | Axes that move together: lists of equal length; each entry is one dimension of the grid. |
| `exclude` | list of mappings | Points left out of the grid: all keys of an entry match; a list matches any of its \
values. One that matches no point is an error. |
| `include` | list of mappings | Further points on top of `base` (not of `axes`, not subject to `exclude`); lists \
expand. With `include` and neither `axes` nor `zip`, `base` alone is no run. |
| `evaluate` | mapping or list | What is measured; see below. Never causes a training. |
| `execution` | mapping | What changes no number; see below. |
| `claims` | list of mappings | Statements about the results, to be judged; see below. |
| `figures` | list of names | Figures wanted in the report, by name or by the paper's number: FIGURES. |

An axis replaces the value of `base`. Two axes that set one field are an error, as are `model.size` together with
`model.depth`, `hidden` or `heads`, and `train.duration` together with `train.images`. Equal points are one run, counted
as merged duplicates. A run is named after the swept values only: `size=XS,patch=2`.
"""
EVALUATE = """\
## `evaluate`

A mapping, or a list of them. Every key takes a value or a list; the lists of one entry are multiplied. Of the samplers
listed, each run takes those that fit its objective; an entry of which none fits is an error (restrict it by `where`).
The EMA weights at every point named here, and at the end, are kept.
"""
WHERE = (
    "| `where` | mapping | – | every run | Science path (`model.size` and `train.duration` "
    "included) to a value or a "
    "list: the runs this entry is for; an entry that no run matches is an error. |\n"
)


def markdown() -> str:
    """Return the text of studies/README.md."""
    figures = ", ".join(f"`{figure.name}` ({figure.number})" for figure in FIGURES.values())
    parts = [HEAD.replace("FIGURES", figures)]
    for name, section in sections().items():
        about = (
            " ".join((next(iter(section.variants.values())).__doc__ or "").split())
            if not section.key
            else ""
        )
        if section.key:
            about = " ".join(
                f"`{word}`: {' '.join((m.__doc__ or '').split())}"
                for word, m in section.variants.items()
            )
        rows = [f for f in science_fields().values() if f.path.startswith(f"{name}.")]
        parts.append(f"## Science: `{name}`\n\n{about}\n\n{_table(rows)}")
    parts.append(f"{EVALUATE}\n{_table(list(evaluation_fields().values()), 'evaluate.')}{WHERE}")
    parts.append(
        "## `execution`\n\nNever part of an "
        f"id.\n\n{_table(list(execution_fields().values()), 'execution.')}"
    )
    parts.append(_claims())
    return "\n".join(parts)


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


def _claims() -> str:
    kinds = section_of(Claim).variants
    shared = set.intersection(*[set(model.model_fields) for model in kinds.values()])
    first = next(iter(kinds.values()))
    head = "Each entry is a mapping with a `kind`; the columns it names are those of the tables (`ditlab query`)."
    parts = [f"## `claims`\n\n{head} Every kind has these keys:\n\n{_claim_table(first, shared)}"]
    for kind, model in kinds.items():
        about = " ".join((model.__doc__ or "").split())
        own = _claim_table(model, set(model.model_fields) - shared)
        parts.append(f"### `kind: {kind}`\n\n{about}\n\n{own}")
    return "\n".join(parts)


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
