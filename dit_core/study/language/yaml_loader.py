"""A strict reader of the small part of YAML that studies need: every value knows its line.

Built on the events of the parser, with a stack of our own, so that no input can make it recurse,
execute or expand anything: anchors, aliases, tags, merge keys and a second document are refused,
duplicate keys are errors. Plain scalars follow YAML 1.2 (`1e-4` is a number, `no` is text, `010` is
text), and `50_000` is a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

from dit_core.errors import StudyError
from dit_core.study.problems import Place, Problems, show, strange_letter

MAX_DEPTH = 50
MAX_BYTES = 1_000_000
INTEGER = re.compile(r"[-+]?(0|[1-9](_?[0-9])*)\Z")
FLOAT = re.compile(
    r"[-+]?(0|[1-9](_?[0-9])*|(?=\.[0-9]))(\.([0-9](_?[0-9])*)?)?([eE][-+]?[0-9]+)?\Z"
)
# Controls, line breaks that editors do not count, zero-width and bidirectional marks, surrogates,
# non-characters.
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
LOADER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # only its events are used: it never makes an object


@dataclass(slots=True)
class Node:
    """A value of the file: a scalar, a dict of nodes or a list of nodes.

    `place` is that of its key, or its own where it has none.
    """

    value: Any
    place: Place

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def decode(data: bytes, file: str) -> str:
    """Return the text of a study file: UTF-8, an optional BOM, LF or CRLF.

    Raises StudyError for anything else.
    """
    if len(data) > MAX_BYTES:
        raise StudyError([f"{file}: {len(data):,} bytes; a study file has at most {MAX_BYTES:,}"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise StudyError(
            [f"{file}:{line}: not UTF-8 text (byte {error.start}); save the file as UTF-8"]
        ) from None
    text = text.replace("\r\n", "\n")
    _refuse_letters(text, file)
    return text


def _refuse_letters(text: str, file: str) -> None:
    """Raise StudyError where there are tabs or invisible characters."""
    problems = Problems()
    for hit in FORBIDDEN.finditer(text):
        place = Place(file, text.count("\n", 0, hit.start()) + 1)
        column = hit.start() - text.rfind("\n", 0, hit.start())
        what = (
            "a tab; indent and separate with blanks"
            if hit[0] == "\t"
            else "an invisible character; remove it"
        )
        problems.add(place, "", f"column {column} holds{strange_letter(hit[0])[7:-1]}, {what}")
        if len(problems.lines) >= 20:
            break
    problems.raise_any()


def read_yaml(text: str, file: str) -> Node:
    """Return the one mapping a study file holds.

    Raises StudyError with every problem found, each with its line.
    """
    reader = _Reader(file)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        reader.problems.add(Place(file, line), "", f"not readable as YAML: {what}")
    except yaml.YAMLError as error:
        reader.problems.add(
            Place(file, 1), "", f"not readable as YAML: {' '.join(str(error).split())}"
        )
    reader.problems.raise_any()
    return _mapping(reader.top, file)


def _mapping(top: Node | None, file: str) -> Node:
    if top is None or top.value is None:
        text = "the file is empty; a study needs at least `study`, `question` and `base`"
        raise StudyError([f"{file}:1: {text}"])
    if not isinstance(top.value, dict):
        text = f"a study is a mapping of keys, given {show(top.plain())}"
        raise StudyError([f"{top.place}: {text}"])
    return top


class _Open:
    """A mapping or list that is being read; `key` waits for its value."""

    __slots__ = ("key", "key_place", "node", "path")

    def __init__(self, node: Node, path: str) -> None:
        self.node = node
        self.path = path
        self.key: str | None = None
        self.key_place: Place | None = None


class _Reader:
    """Turns parser events into nodes with an explicit stack."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems = Problems()
        self.top: Node | None = None
        self.documents = 0
        self.stack: list[_Open] = []

    def take(self, event: Any) -> None:
        """Take the next event; raise StudyError where reading on makes no sense."""
        place = Place(self.file, event.start_mark.line + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._start(event, place)
        elif isinstance(event, yaml.AliasEvent):
            self.problems.add(
                place, self._path(), f"alias *{event.anchor} refused; write the value out"
            )
            self._put(Node(None, place))
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_marks(event, place)
            self._put(Node(self._scalar(event, place), place), is_text=bool(event.style))
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._refuse_marks(event, place)
            self._open(Node({} if isinstance(event, yaml.MappingStartEvent) else [], place))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.stack.pop()

    def _start(self, event: yaml.DocumentStartEvent, place: Place) -> None:
        self.documents += 1
        if self.documents > 1:
            text = "a second YAML document starts here; a study is one document per file"
            self._stop(place, text)
        if event.version or event.tags:
            text = "YAML directives (%YAML, %TAG) are not used in studies; remove the line"
            self.problems.add(place, "", text)

    def _stop(self, place: Place, text: str) -> None:
        self.problems.add(place, "", text)
        self.problems.raise_any()

    def _path(self) -> str:
        if not self.stack:
            return ""
        last = self.stack[-1]
        return f"{last.path}.{last.key}".lstrip(".") if last.key is not None else last.path

    def _refuse_marks(self, event: Any, place: Place) -> None:
        if event.anchor:
            self.problems.add(
                place, self._path(), f"anchor &{event.anchor} refused; write values out where used"
            )
        if event.tag:
            self.problems.add(
                place,
                self._path(),
                f"tag {show(event.tag)} refused; studies hold plain values only",
            )

    def _open(self, node: Node) -> None:
        path = self._path()
        if len(self.stack) >= MAX_DEPTH:
            self._stop(node.place, f"nested deeper than {MAX_DEPTH} levels")
        holder = self.stack[-1] if self.stack else None
        if holder and isinstance(holder.node.value, dict) and holder.key is None:
            self._stop(
                node.place,
                f"a key must be a word, given a {'list' if node.value == [] else 'mapping'}",
            )
        self._put(node)
        self.stack.append(_Open(node, path))

    def _put(self, node: Node, is_text: bool = False) -> None:
        if not self.stack:
            self.top = node
            return
        holder = self.stack[-1]
        if isinstance(holder.node.value, list):
            holder.node.value.append(node)
        elif holder.key is None:
            self._take_key(holder, node, is_text)
        else:
            node.place = holder.key_place or node.place
            holder.node.value.setdefault(holder.key, node)
            holder.key = None

    def _take_key(self, holder: _Open, node: Node, is_text: bool) -> None:
        key = node.value
        path = holder.path
        self._refuse_comma(holder, node)
        if not isinstance(key, str):
            self.problems.add(node.place, path, f"a key must be a word, given {show(key)}")
        elif key == "<<" and not is_text:
            self.problems.add(
                node.place, path, "merge key << refused; write the keys out, or use `extends`"
            )
        elif not key or strange_letter(key):
            self.problems.add(
                node.place,
                path,
                f"a key is written in ASCII, given {show(key)}{strange_letter(key)}",
            )
        elif key in holder.node.value:
            first = holder.node.value[key].place.line
            self.problems.add(
                node.place,
                path,
                f"key {show(key)} is given twice, in lines {first} and {node.place.line}",
            )
        holder.key = str(key)
        holder.key_place = node.place

    def _refuse_comma(self, holder: _Open, node: Node) -> None:
        """Stop at `{duration: 20,000 steps}`.

        Inside braces the comma ends the value, and "000 steps" is a key.
        """
        last = next(reversed(holder.node.value.items()), None)
        given = node.value
        if last and type(last[1].value) is int and re.match("[0-9]{3}(?![0-9])", str(given)):
            path = f"{holder.path}.{last[0]}".lstrip(".")
            number = last[1].value
            self._stop(
                node.place,
                f"{path}: given '{number},{given}'; leave out the comma: {number}{given}",
            )

    def _scalar(self, event: Any, place: Place) -> Any:
        if event.style in ("'", '"', "|", ">") or event.tag:
            return event.value
        try:
            return plain_scalar(event.value)
        except ValueError as error:
            self.problems.add(place, self._path(), str(error))
            return None


def plain_scalar(text: str) -> Any:
    """Return what an unquoted word means: null, true, false, an integer, a float, or text.

    Raises ValueError for a number that is not finite, vanishes, or does not fit 64 bits.
    """
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if INTEGER.match(text):
        if len(text) > 40 or not -(2**63) <= int(text) < 2**63:
            raise ValueError(f"number {show(text)} does not fit 64 bits")
        return int(text)
    if FLOAT.match(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"number {show(text)} is not finite; the largest is about 1.8e308")
        if value == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
            raise ValueError(f"number {show(text)} is too small to be told from 0")
        return value or 0.0  # -0.0 and 0.0 are one value
    return text
