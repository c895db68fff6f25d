"""The claims of a study file, checked against the claim models, every problem with its line."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from dit_core.errors import nearest
from dit_core.study.language.sections import section_of
from dit_core.study.language.yaml_loader import Node
from dit_core.study.problems import Problems, show, unknown_key
from dit_core.study.science.claim_kinds import Claim


def read_claims(nodes: list[Node], problems: Problems) -> tuple[Any, ...]:
    """Return the claims; what is wrong with them is added to `problems`."""
    claims = []
    first: dict[str, Node] = {}
    kinds = section_of(Claim).variants
    word = section_of(Claim).key
    for i, node in enumerate(nodes):
        where = f"claims[{i}]"
        if not isinstance(node.value, dict) or not node.value:
            problems.add(node.place, where, f"given {show(node.plain())}; wants a mapping")
            continue
        plain = node.plain()
        kind = plain.get(word)
        if kind not in kinds:
            if word not in plain:
                problems.add(node.place, f"{where}.{word}", f"missing; allowed: {', '.join(kinds)}")
            else:
                place = node.value[word].place
                text = f"given {show(kind)}{nearest(str(kind), kinds)}; allowed: {', '.join(kinds)}"
                problems.add(place, f"{where}.{word}", text)
            continue
        try:
            claims.append(TypeAdapter(Claim).validate_python(plain))
            _once(node, where, claims[-1].id, first, problems)
        except ValidationError as error:
            _explain(error, node, where, list(kinds[kind].model_fields), problems)
    return tuple(claims)


def _once(node: Node, where: str, name: str, first: dict[str, Node], problems: Problems) -> None:
    """Note a claim whose id an earlier one has."""
    earlier = first.setdefault(name, node)
    if earlier is not node:
        place = node.value["id"].place
        other = earlier.value["id"].place
        problems.add(
            place, f"{where}.id", f"id {show(name)} is given twice, here and in {other}; rename one"
        )


def _explain(
    error: ValidationError, node: Node, where: str, allowed: list[str], problems: Problems
) -> None:
    seen: set[str] = set()
    for item in error.errors():
        here, path, one_of_many = _written(
            node, where, item["loc"][1:]
        )  # the first is the claim's kind
        if path in seen:
            continue
        seen.add(path)
        if item["type"] == "extra_forbidden":
            problems.add(here.place, path, unknown_key(str(item["loc"][-1]), allowed))
        elif item["type"] == "missing":
            problems.add(here.place, path, f"missing; keys of this claim: {', '.join(allowed)}")
        elif one_of_many:
            wanted = "wants a finite number, text, true or false, or a list of such"
            problems.add(here.place, path, f"given {show(here.plain())}; {wanted}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            problems.add(
                here.place, path, f"given {show(here.plain())}; {message[:1].lower()}{message[1:]}"
            )


def _written(node: Node, where: str, parts: tuple[int | str, ...]) -> tuple[Node, str, bool]:
    """Return the node an error is about, its path, and whether several types were tried.

    Beyond a value's own keys and indices the parts name the types that it is none of.
    """
    here = node
    path = where
    for number, part in enumerate(parts):
        if isinstance(here.value, dict) and (part in here.value or number == 0):
            here = here.value.get(str(part), here)
        elif isinstance(here.value, list) and isinstance(part, int) and part < len(here.value):
            here = here.value[part]
        else:
            return here, path, True
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return here, path, False
