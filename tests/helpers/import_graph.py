"""The imports between the project's files, read from their source; none of them is run."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("analysis", "dit_core", "slurm")


@dataclass(frozen=True)
class Arrow:
    """One import: a file, the module it gets, and whether that waits until a function runs."""

    file: str
    module: str
    lazy: bool


def arrows(root: Path) -> list[Arrow]:
    """Return every import of every Python file of the packages below `root`."""
    files = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    known = {module_of(path.relative_to(root)) for path in files}
    found = []
    for path in files:
        name = path.relative_to(root)
        for node, lazy in _nodes(ast.parse(path.read_text())):
            for module in _modules(node, name, known):
                found.append(Arrow(name.as_posix(), module, lazy))
    return found


def module_of(file: Path | str) -> str:
    """Return the dotted name of a file's module: `a/b.py` and `a/b/__init__.py` are both `a.b`."""
    parts = Path(file).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(edges: Collection[tuple[str, str]]) -> list[list[str]]:
    """Return every group of two or more nodes that reach each other, each group sorted by name."""
    targets: dict[str, set[str]] = {}
    for start, end in edges:
        targets.setdefault(start, set()).add(end)
    reach = {node: _reachable(node, targets) for node in targets}
    groups = {
        tuple(sorted({node} | {other for other in ends if node in reach.get(other, ())}))
        for node, ends in reach.items()
        if node in ends
    }
    return sorted(list(group) for group in groups if len(group) > 1)


def _reachable(start: str, targets: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for end in targets.get(waiting.pop(), ()):
            if end not in seen:
                seen.add(end)
                waiting.append(end)
    return seen


def _nodes(tree: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield each node below `tree`, and whether loading the file leaves it out."""
    for child in ast.iter_child_nodes(tree):
        yield child, lazy
        yield from _nodes(child, lazy or _waits(child))


def _waits(node: ast.AST) -> bool:
    """Say whether what stands in a node is not run when the file is loaded."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _modules(node: ast.AST, file: Path, known: set[str]) -> list[str]:
    """Return the modules that a statement imports; none where it is no import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _base(node, file)
        inner = [f"{base}.{alias.name}" for alias in node.names]
        # `from package import name`: the module `package.name` where there is one, else the package
        return sorted({name if name in known else base for name in inner})
    if isinstance(node, ast.Call):
        return _by_call(node)
    return []


def _base(node: ast.ImportFrom, file: Path) -> str:
    """Return the module after `from`, absolute: each dot beyond the first is one folder up."""
    if node.level == 0:
        return node.module or ""
    folder = list(file.parent.parts)
    folder = folder[: len(folder) - (node.level - 1)]
    return ".".join(folder + ([node.module] if node.module else []))


def _by_call(node: ast.Call) -> list[str]:
    """Return the module of `importlib.import_module("…")` or `__import__("…")`."""
    named = ast.unparse(node.func)
    if named not in ("importlib.import_module", "import_module", "__import__") or not node.args:
        return []
    name = node.args[0]
    return [name.value] if isinstance(name, ast.Constant) and isinstance(name.value, str) else []
