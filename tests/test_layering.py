"""Who may import whom, read from the imports of every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"dit_core", "slurm", "analysis"}
HEAVY = {
    "torch",
    "pandas",
    "seaborn",
    "matplotlib",
    "scipy",
    "duckdb",
    "submitit",
    "diffusers",
    "torch_fidelity",
}

# prefix of the file: (our packages it may import, heavy packages it may import). The longest prefix
# decides.
TORCH = {"torch", "diffusers"}
RULES: dict[str, tuple[set[str], set[str]]] = {
    "dit_core/errors.py": (set(), set()),
    "dit_core/study": ({"dit_core.errors", "dit_core.study"}, set()),
    "dit_core/records": (
        {"dit_core.errors", "dit_core.study", "dit_core.records", "dit_core.__init__"},
        set(),
    ),
    "dit_core/executor/local.py": ({"dit_core"}, set()),
    "dit_core/evaluate": ({"dit_core"}, TORCH | {"torch_fidelity", "scipy"}),
    "dit_core/cli": ({"dit_core", "slurm", "analysis"}, set()),
    "dit_core": ({"dit_core"}, TORCH),
    "slurm": ({"dit_core", "slurm"}, {"submitit", "torch"}),
    "analysis": (
        {"dit_core.errors", "dit_core.study", "dit_core.records", "dit_core", "analysis"},
        {"pandas", "seaborn", "matplotlib", "scipy", "duckdb"},
    ),
}


def violations(root: Path) -> list[str]:
    """Return "file: what it imports against the rules" for every Python file of the packages below
    `root`.
    """
    found = []
    for path in sorted(p for package in OURS for p in (root / package).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        ours, heavy = RULES[max((r for r in RULES if name.startswith(r)), key=len)]
        tree = ast.parse(path.read_text())
        for node, lazy in _imports(tree):
            for module in node:
                top = module.split(".")[0]
                allowed_ours = (
                    any(module == o or module.startswith(o + ".") for o in ours)
                    or module == "dit_core"
                )
                if top in OURS and not allowed_ours:
                    found.append(f"{name}: imports {module}")
                # The command line may import anything, but only when a command runs.
                if (
                    top in HEAVY
                    and top not in heavy
                    and not (name.startswith("dit_core/cli") and lazy)
                ):
                    found.append(f"{name}: imports {module}")
    return found


def _imports(tree: ast.Module):
    inside = {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef)
        for n in ast.walk(f)
        if n is not f
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield [alias.name for alias in node.names], id(node) in inside
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield [node.module], id(node) in inside


def test_no_file_imports_against_the_layers():
    assert violations(ROOT) == []


def test_the_check_sees_a_violation(tmp_path: Path):
    for package in OURS:
        (tmp_path / package).mkdir()
    (tmp_path / "dit_core" / "study").mkdir()
    (tmp_path / "dit_core" / "study" / "a.py").write_text(
        "import torch\nfrom analysis import load\n"
    )
    (tmp_path / "slurm" / "b.py").write_text("def f():\n    import analysis.tables.load\n")
    assert violations(tmp_path) == [
        "dit_core/study/a.py: imports torch",
        "dit_core/study/a.py: imports analysis",
        "slurm/b.py: imports analysis.tables.load",
    ]


@pytest.mark.parametrize(
    "module", ["dit_core.cli.app", "dit_core.cli.work.plan", "dit_core.records.run_state"]
)
def test_planning_starts_without_torch_and_pandas(module: str):
    code = f"import sys, {module}; print(sorted({{'torch', 'pandas', 'matplotlib', 'scipy'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"


def test_no_loading_that_can_run_code():
    bad = (
        "weights_only=" + "False",
        "pickle." + "load",
        "allow_pickle=" + "True",
        "shell=" + "True",
        "os." + "system",
    )
    files = {p: p.read_text() for package in OURS for p in (ROOT / package).rglob("*.py")}
    assert [(p.name, word) for p, text in files.items() for word in bad if word in text] == []
    assert [
        p.name for p, text in files.items() if "yaml.load(" in text and "SafeLoader" not in text
    ] == []
    assert len(files) > 30
