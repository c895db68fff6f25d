"""The sections of the science and the models that each may hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel

from dit_core.study.language.annotations import ordered
from dit_core.study.science.science import Science


@dataclass(frozen=True)
class Section:
    """A section of the science: the models it may hold, by the word in its field `key`.

    `key` is "" for a single model.
    """

    key: str
    variants: dict[str, type[BaseModel]]

    def model(self, fields: dict[str, Any]) -> type[BaseModel]:
        """Return the model that `fields` name, the first where they name none."""
        return self.variants.get(str(fields.get(self.key))) or next(iter(self.variants.values()))


def section_of(annotation: Any) -> Section:
    """Return the models of a type that is one model or a union with a discriminator."""
    models = [
        kind
        for kind in ordered(annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]
    key = next(
        (str(i.discriminator) for i in get_args(annotation) if getattr(i, "discriminator", None)),
        "",
    )
    if not key:
        return Section("", {"": models[0]})
    return Section(key, {str(get_args(m.model_fields[key].annotation)[0]): m for m in models})


@lru_cache(maxsize=1)
def sections() -> dict[str, Section]:
    """Return the sections of the science by name."""
    found = {}
    for name, info in Science.model_fields.items():
        found[name] = section_of(
            Annotated[info.annotation, info] if info.discriminator else info.annotation
        )
    return found


@lru_cache(maxsize=100)
def model_facts(model: type[BaseModel]) -> tuple[frozenset[str], tuple[str, ...], dict[str, Any]]:
    """Return (names of the fields, names of the required ones, name to default of the others)."""
    required = tuple(name for name, info in model.model_fields.items() if info.is_required())
    defaults = {
        name: info.default for name, info in model.model_fields.items() if name not in required
    }
    return frozenset(model.model_fields), required, defaults
