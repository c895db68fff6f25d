"""From the settings of one point to the plain fields of its sections: sizes, durations and data
spelled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dit_core.study.language.fields import model_facts, sections
from dit_core.study.science.data import BUILT_IN, FACTS, NEEDED
from dit_core.study.science.duration import Duration, images_of
from dit_core.study.science.science import SIZES

Flat = dict[str, Any]
DIMS = ("depth", "hidden", "heads")
# The paths a value depends on besides itself.
DEPENDS: dict[str, tuple[str, ...]] = {
    **{f"model.{name}": ("model.size", *(f"model.{d}" for d in DIMS)) for name in ("size", *DIMS)},
    **{
        f"train.{name}": (
            "train.duration",
            "train.images",
            "train.batch",
            "data.images",
            "data.name",
        )
        for name in ("duration", "images")
    },
    **{f"data.{name}": ("data.name", f"data.{name}") for name in FACTS},
}


def depends(path: str) -> tuple[str, ...]:
    """Return the paths that decide the value at `path` of a resolved point."""
    section = path.partition(".")[0]
    key = sections()[section].key if section in sections() else ""
    own = DEPENDS.get(path, (path,))
    return (*own, f"{section}.{key}") if key and f"{section}.{key}" not in own else own


def section_depends(section: str) -> tuple[str, ...]:
    """Return the paths outside a section that its resolution reads."""
    return ("data.images", "data.name") if section == "train" else ()


def resolve_section(
    section: str, given: Flat, others: Mapping[str, Flat]
) -> tuple[Flat, list[str]]:
    """Return (fields of the section's model, problems); `given` are the section's settings,
    `others` all sections'.
    """
    fields = dict(given)
    problems: list[str] = []
    if section == "model" and fields.get("family") != "unet":
        problems += _spell_out_size(fields)
    elif section == "data":
        problems += _fill_data(fields)
    elif section == "train":
        problems += _resolve_duration(fields, others.get("data", {}))
    kinds = sections()[section]
    model = kinds.model(fields)
    known, required, defaults = model_facts(model)
    if kinds.key:
        fields.setdefault(kinds.key, defaults[kinds.key])
    for name in fields.keys() - known:
        problems.append(
            f"{section}.{name} does not belong to {kinds.key} {fields[kinds.key]!r}; leave it out "
            "there "
            "(an `include` entry may set it for the others), its fields are "
            f"{', '.join(model.model_fields)}"
        )
    missing = [name for name in required if name not in fields]
    if missing and not problems:
        problems.append(f"missing: {', '.join(f'{section}.{name}' for name in missing)}")
    return fields, problems


def defaults_of(section: str, fields: Flat) -> Flat:
    """Return the fields with the defaults of those not given."""
    return {**model_facts(sections()[section].model(fields))[2], **fields}


def value_at(path: str, point: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the value of a resolved point at a science path, None where its variant has no such
    field.
    """
    section, name = path.split(".", 1)
    fields = point[section]
    if path == "model.size":
        dims = tuple(fields.get(d) for d in DIMS)
        return next((size for size, known in SIZES.items() if known == dims), None)
    if path == "train.duration":
        return fields.get("images")
    return fields.get(name)


def agrees(path: str, wanted: tuple[Any, ...], point: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a resolved point has one of the wanted values at `path`; durations are
    compared in images.
    """
    value = value_at(path, point)
    for want in wanted:
        if isinstance(want, Duration):
            try:
                want = images_of(want, point["train"]["batch"], point["data"]["images"])
            except ValueError:
                continue
        if value == want and type(value) is type(want):
            return True
    return False


def _spell_out_size(fields: Flat) -> list[str]:
    size = fields.pop("size", None)
    spelled = [name for name in DIMS if name in fields]
    if size is not None and spelled:
        return [
            f"size {size!r} and {', '.join(spelled)} given together; give the size or depth, "
            "hidden and heads"
        ]
    if size is not None:
        fields.update(zip(DIMS, SIZES[size], strict=True))
        return []
    missing = [name for name in DIMS if name not in fields]
    if not spelled:
        return [
            f"missing: model.size (one of {', '.join(SIZES)}), or model.depth, model.hidden and "
            "model.heads"
        ]
    return (
        [f"missing: {', '.join(f'model.{name}' for name in missing)} (or give model.size instead)"]
        if missing
        else []
    )


def _fill_data(fields: Flat) -> list[str]:
    name = fields.setdefault("name", "digits")
    known = BUILT_IN.get(name)
    if known is not None:
        facts = {n: getattr(known, n) for n in FACTS}
        wrong = [n for n in FACTS if n in fields and fields[n] != facts[n]]
        fields.update(facts)
        is_built_in = ", ".join(f"{n} {facts[n]}" for n in FACTS if n in NEEDED or n in wrong)
        return (
            [f"data {name!r} is built in with {is_built_in}; {', '.join(wrong)} given otherwise"]
            if wrong
            else []
        )
    missing = [n for n in NEEDED if n not in fields]
    if missing:
        return [
            f"data {name!r} is not built in; missing: {', '.join(f'data.{n}' for n in missing)}"
        ]
    if fields["kind"] in {data.kind for data in BUILT_IN.values()}:
        sets = ", ".join(n for n, data in BUILT_IN.items() if data.kind == fields["kind"])
        return [
            f"kind {fields['kind']!r} is of the built-in {sets}; data {name!r} wants images, npz "
            "or latents"
        ]
    return []


def _resolve_duration(fields: Flat, data: Flat) -> list[str]:
    duration = fields.pop("duration", None)
    fields.setdefault("batch", defaults_of("train", fields)["batch"])
    if duration is None:
        return (
            []
            if "images" in fields
            else ['missing: train.duration ("400k steps", "30 epochs", ...)']
        )
    if "images" in fields:
        return [
            f"duration {str(duration)!r} and images {fields['images']} given together; give one of "
            "them"
        ]
    if "images" not in data and duration.unit == "epochs":
        return []  # the data section has its own problem
    try:
        fields["images"] = images_of(duration, fields["batch"], data.get("images", 1))
    except ValueError as error:
        return [f"duration {error}"]
    return []
