"""From the settings of one point to the fields of its sections, sizes and durations resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dit_core.study.language.sections import model_facts, sections
from dit_core.study.problems import Fault
from dit_core.study.science.data import BUILT_IN, FACTS, FETCHED, NEEDED, Data
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
) -> tuple[Flat, list[Fault]]:
    """Return (fields of the section's model, faults).

    `given` are the settings of the section, `others` the fields of sections resolved before.
    """
    fields = dict(given)
    faults: list[Fault] = []
    if section == "model" and fields.get("family") != "unet":
        faults += _spell_out_size(fields)
    elif section == "data":
        faults += _fill_data(fields)
    elif section == "train":
        faults += _resolve_duration(fields, others.get("data", {}))
    return fields, faults + _misplaced(section, fields, not faults)


def _misplaced(section: str, fields: Flat, is_whole: bool) -> list[Fault]:
    """Return fields that another variant of the section has; where `is_whole`, missing ones too."""
    faults: list[Fault] = []
    kinds = sections()[section]
    model = kinds.model(fields)
    known, required, defaults = model_facts(model)
    if kinds.key:
        fields.setdefault(kinds.key, defaults[kinds.key])
    for name in fields.keys() - known:
        text = (
            f"{section}.{name} does not belong to {kinds.key} {fields[kinds.key]!r}; leave it out "
            "there (an `include` entry may set it for the others), its fields are "
            f"{', '.join(model.model_fields)}"
        )
        faults.append(Fault(text, (name,)))
    missing = [name for name in required if name not in fields]
    if missing and is_whole and not faults:
        text = f"missing: {', '.join(f'{section}.{name}' for name in missing)}"
        faults.append(Fault(text, tuple(missing)))
    return faults


def defaults_of(section: str, fields: Flat) -> Flat:
    """Return the fields with the defaults of those not given."""
    return {**model_facts(sections()[section].model(fields))[2], **fields}


def value_at(path: str, point: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the value of a resolved point at a science path; None where it has no such field."""
    section, name = path.split(".", 1)
    fields = point[section]
    if path == "model.size":
        dims = tuple(fields.get(d) for d in DIMS)
        return next((size for size, known in SIZES.items() if known == dims), None)
    if path == "train.duration":
        return fields.get("images")
    return fields.get(name)


def agrees(path: str, wanted: tuple[Any, ...], point: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a resolved point has a wanted value at `path`; durations count in images."""
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


def _spell_out_size(fields: Flat) -> list[Fault]:
    size = fields.pop("size", None)
    spelled = [name for name in DIMS if name in fields]
    if size is not None and spelled:
        text = (
            f"size {size!r} and {', '.join(spelled)} given together; give the size or depth, "
            "hidden and heads"
        )
        return [Fault(text, ("size", *spelled))]
    if size is not None:
        fields.update(zip(DIMS, SIZES[size], strict=True))
        return []
    if not spelled:
        text = (
            f"missing: model.size (one of {', '.join(SIZES)}), or model.depth, model.hidden and "
            "model.heads"
        )
        return [Fault(text, ("size", *DIMS))]
    missing = [f"model.{name}" for name in DIMS if name not in fields]
    if not missing:
        return []
    text = f"missing: {', '.join(missing)} (or give model.size instead)"
    return [Fault(text, tuple(spelled))]


def _fill_data(fields: Flat) -> list[Fault]:
    name = fields.setdefault("name", "digits")
    known = BUILT_IN.get(name)
    if known is not None:
        return _fill_built_in(known, fields)
    if name in FETCHED and not any(n in fields for n in NEEDED):
        fields.update({n: getattr(FETCHED[name], n) for n in NEEDED})
    missing = [f"data.{n}" for n in NEEDED if n not in fields]
    if missing:
        text = f"data {name!r} is not built in; missing: {', '.join(missing)}"
        return [Fault(text, ("name",))]
    kind = fields["kind"]
    same_kind = [n for n, data in BUILT_IN.items() if data.kind == kind]
    if same_kind:
        text = (
            f"kind {kind!r} is of the built-in {', '.join(same_kind)}; data {name!r} wants "
            "images, npz or latents"
        )
        return [Fault(text, ("kind", "name"))]
    return []


def _fill_built_in(known: Data, fields: Flat) -> list[Fault]:
    facts = {n: getattr(known, n) for n in FACTS}
    wrong = [n for n in FACTS if n in fields and fields[n] != facts[n]]
    fields.update(facts)
    if not wrong:
        return []
    stated = ", ".join(f"{n} {facts[n]}" for n in FACTS if n in NEEDED or n in wrong)
    text = f"data {known.name!r} is built in with {stated}; {', '.join(wrong)} given otherwise"
    return [Fault(text, tuple(wrong))]


def _resolve_duration(fields: Flat, data: Flat) -> list[Fault]:
    duration = fields.pop("duration", None)
    fields.setdefault("batch", defaults_of("train", fields)["batch"])
    if duration is None and "images" in fields:
        return []
    if duration is None:
        return [Fault('missing: train.duration ("400k steps", "30 epochs", ...)')]
    if "images" in fields:
        text = (
            f"duration {str(duration)!r} and images {fields['images']} given together; give one of "
            "them"
        )
        return [Fault(text, ("duration", "images"))]
    if "images" not in data and duration.unit == "epochs":
        return []  # the data section has its own problem
    try:
        fields["images"] = images_of(duration, fields["batch"], data.get("images", 1))
    except ValueError as error:
        return [Fault(f"duration {error}", ("duration", "batch"))]
    return []
