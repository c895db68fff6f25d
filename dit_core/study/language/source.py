"""The file of a study and those it extends: read, bounded, merged into one tree."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from dit_core.errors import StudyError
from dit_core.study.language.merged_text import merged_text
from dit_core.study.language.yaml_loader import MAX_BYTES, Node, decode, read_yaml
from dit_core.study.problems import show

OWN = ("study", "question", "extends")
"""Keys that are never taken over from the extended file."""
LONGEST_CHAIN = 10


@dataclass(frozen=True)
class Source:
    """The text of a study file, its tree, and the files it extends, nearest first.

    The extended files are merged into the tree.
    """

    text: str
    top: Node
    parents: tuple[Path, ...]


def read_source(path: Path) -> Source:
    """Return the study file at `path` with what it extends.

    `extends: other.yaml` takes over every key that this file does not give; mappings are merged key
    by key, all else is replaced. The extended file must lie in the folder of the study or below it.
    Raises StudyError naming the file that cannot be read.
    """
    return merge_source(_read(path, str(path)), path)


def merge_source(text: str, path: Path) -> Source:
    """Return the source of a study whose text is known.

    `path` is where it lies, for messages and for `extends`.
    """
    top = read_yaml(text, str(path))
    if "extends" not in top.value:
        return Source(text, top, ())
    seen = [path.resolve()]
    parents: list[Path] = []
    tree = top
    here = path
    while "extends" in tree.value:
        node = tree.value["extends"]
        here = _extended(node, here, path.resolve().parent, seen)
        parents.append(here)
        if len(parents) > LONGEST_CHAIN:
            raise StudyError([f"{node.place}: extends: more than {LONGEST_CHAIN} files in a row"])
        tree = read_yaml(_read(here, str(here)), str(here))
        taken = {key: value for key, value in tree.value.items() if key not in OWN}
        top = _merged(top, Node(taken, tree.place))
    top.value.pop("extends", None)
    return Source(merged_text(top, path, parents), top, tuple(parents))


def _read(path: Path, file: str) -> str:
    try:
        if path.exists() and not path.is_file():
            raise StudyError([f"{file}: not a file; give the YAML file of a study"])
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise StudyError([f"{file}: {size:,} bytes; a study file has at most {MAX_BYTES:,}"])
        with open(path, "rb") as stream:
            return decode(stream.read(MAX_BYTES + 1), file)
    except FileNotFoundError:
        if path.is_symlink():
            raise StudyError(
                [f"{file}: a broken link: {show(str(path.readlink()))} is not there"]
            ) from None
        raise StudyError([f"{file}: no such file{_close(path)}"]) from None
    except (OSError, ValueError) as error:
        raise StudyError(
            [f"{show(file)}: cannot be read ({getattr(error, 'strerror', None) or error})"]
        ) from None


def _close(path: Path) -> str:
    """Return the hint at the file whose name is nearest: its stem counts, since all end alike."""
    folder = path.parent
    names = sorted(p.name for p in folder.glob("*.yaml"))[:1000] if folder.is_dir() else []
    stems = {Path(other).stem: other for other in names}
    hit = difflib.get_close_matches(path.stem, stems, n=1, cutoff=0.5)
    return f", did you mean {stems[hit[0]]!r}?" if hit else ""


def _extended(node: Node, here: Path, root: Path, seen: list[Path]) -> Path:
    word = node.value
    if not isinstance(word, str) or not word or "\n" in word:
        raise StudyError(
            [f"{node.place}: extends: given {show(node.plain())}; wants the name of one study file"]
        )
    target = here.parent / word
    real = target.resolve()
    if not real.is_relative_to(root):
        raise StudyError([f"{node.place}: extends: {show(word)} lies outside the study's folder"])
    if real in seen:
        raise StudyError([f"{node.place}: extends: {show(word)} extends itself in a loop"])
    if not real.is_file():
        if target.is_symlink():
            raise StudyError([f"{node.place}: extends: {show(word)} is a broken link"])
        raise StudyError([f"{node.place}: extends: no file {show(word)}{_close(target)}"])
    seen.append(real)
    return target


def _merged(over: Node, under: Node) -> Node:
    if not isinstance(over.value, dict) or not isinstance(under.value, dict):
        return over
    merged = dict(over.value)
    for key, node in under.value.items():
        merged[key] = _merged(merged[key], node) if key in merged else node
    return Node(merged, over.place)
