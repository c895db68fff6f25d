"""Reading run.yaml fast: nested `key: value` lines directly, anything else by PyYAML."""

from __future__ import annotations

import functools
import re
from typing import Any

import yaml

_LINE = re.compile(r"( *)([A-Za-z][A-Za-z0-9_]*):(?: (\S.*))?")
_NUMBER = re.compile(r"-?[0-9.]+(?:[eE][+-]?[0-9]+)?")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(data: bytes) -> Any:
    """Return the document in `data`, exactly as yaml.safe_load would, with the same errors."""
    text = data.decode()
    plain = _nested(text)
    return yaml.load(text, Loader=_LOADER) if plain is None else plain


def _nested(text: str) -> dict[str, Any] | None:
    """Return nested mappings of plain one-line scalars, or None for any other document."""
    top: dict[str, Any] = {}
    stack: list[tuple[int, dict[str, Any]]] = [(0, top)]
    opened: tuple[dict[str, Any], str] | None = (
        None  # a key whose value is the deeper block that follows
    )
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        indent = len(match[1])
        key = match[2]
        value = match[3]
        if opened is not None:
            if indent != stack[-1][0] + 2:
                return None
            block: dict[str, Any] = {}
            opened[0][opened[1]] = block
            stack.append((indent, block))
            opened = None
        while stack[-1][0] > indent:
            stack.pop()
        if stack[-1][0] != indent or key in stack[-1][1]:
            return None
        into = stack[-1][1]
        if value is None:
            into[key] = None
            opened = into, key
        else:
            found = _scalar(value)
            if found is _NOT_PLAIN:
                return None
            into[key] = found
    return top if top and opened is None else None


_NOT_PLAIN = object()


@functools.lru_cache(maxsize=1 << 16)
def _scalar(word: str) -> Any:
    """Return the value of a one-line scalar by PyYAML's rules; collections are not plain."""
    hard = word[0] in "|>&*!%@`{[-?#" or ": " in word or " #" in word or word.endswith(":")
    if hard and not _NUMBER.fullmatch(word):
        return _NOT_PLAIN
    try:
        value = yaml.load(word, Loader=_LOADER)
    except (yaml.YAMLError, ValueError):
        return _NOT_PLAIN
    return value if isinstance(value, str | int | float | None) else _NOT_PLAIN
