"""Who may import whom, read from the imports of every file; an import in a function counts too."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from import_graph import PACKAGES, Arrow, arrows, circles, module_of

ROOT = Path(__file__).parent.parent
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
TORCH = {"torch", "diffusers"}
TABLES = {"pandas", "seaborn", "matplotlib", "scipy", "duckdb"}

# The floors: each name is a module or a package with all below it.
SCIENCE = {
    "dit_core.errors",
    "dit_core.study.problems",
    "dit_core.study.science",
    "dit_core.study.catalogue",
}
STUDY = {"dit_core.errors", "dit_core.study"}
RECORDS = STUDY | {"dit_core.records"}
MODEL = RECORDS | {"dit_core.device", "dit_core.model"}
TRAINING = MODEL | {"dit_core.diffusion", "dit_core.data", "dit_core.training"}
EVALUATE = TRAINING | {"dit_core.evaluate"}
EXECUTOR = EVALUATE | {"dit_core.executor"}
READ = RECORDS | {"analysis.published", "analysis.tables"}
SELECT = READ | {"analysis.noise", "analysis.select"}
LAWS = SELECT | {"analysis.laws"}
DRAWN = LAWS | {"analysis.claims", "analysis.write", "analysis.figures"}

# File or folder: (our modules it may import, heavy packages it may import). The longest name
# decides. Every floor may import the version from `dit_core` itself.
RULES: dict[str, tuple[set[str], set[str]]] = {
    "dit_core/__init__.py": (set(), set()),
    "dit_core/errors.py": (set(), set()),
    "dit_core/device.py": ({"dit_core.errors"}, {"torch"}),
    "dit_core/study": (SCIENCE, set()),
    "dit_core/study/language": (SCIENCE | {"dit_core.study.language"}, set()),
    "dit_core/study/price": (SCIENCE | {"dit_core.study.price"}, set()),
    "dit_core/study/grid": (STUDY, set()),
    "dit_core/records": (RECORDS, set()),
    "dit_core/model": (MODEL, TORCH),
    "dit_core/diffusion": (MODEL | {"dit_core.diffusion"}, TORCH),
    "dit_core/data": (MODEL | {"dit_core.data"}, TORCH),
    "dit_core/training": (TRAINING, TORCH),
    "dit_core/evaluate": (EVALUATE, TORCH | {"torch_fidelity", "scipy"}),
    "dit_core/executor": (EXECUTOR, TORCH),
    "dit_core/bench": (EXECUTOR | {"dit_core.bench"}, TORCH),
    "dit_core/cli": (set(PACKAGES), set()),
    "slurm": (RECORDS | {"slurm"}, {"submitit"}),
    "slurm/task": (EXECUTOR | {"slurm"}, {"torch"}),
    "analysis/__init__.py": (set(), set()),
    "analysis/published": (RECORDS | {"analysis.published"}, TABLES),
    "analysis/tables": (READ, TABLES),
    "analysis/noise": ({"analysis.noise"}, TABLES),
    "analysis/select": (SELECT, TABLES),
    "analysis/laws": (LAWS, TABLES),
    "analysis/claims": (LAWS | {"analysis.claims"}, TABLES),
    "analysis/figures": (DRAWN, TABLES),
    "analysis/write": (SELECT | {"analysis.write"}, TABLES),
    "analysis/report": (DRAWN | {"analysis.report"}, TABLES),
}


def violations(root: Path) -> list[str]:
    """Return "file: imports module" for every import against the rules below `root`."""
    found = [f"{a.file}: imports {a.module}" for a in arrows(root) if not _allowed(a)]
    return list(dict.fromkeys(found))


def _allowed(arrow: Arrow) -> bool:
    ours, heavy = RULES[_floor(arrow.file)]
    package = arrow.module.split(".")[0]
    if package in HEAVY:
        # The command line may import anything, but only when a command runs.
        return package in heavy or (arrow.lazy and arrow.file.startswith("dit_core/cli/"))
    if package not in PACKAGES or arrow.module == "dit_core":
        return True
    return any(_below(arrow.module, name, ".") for name in ours)


def _floor(file: str) -> str:
    """Return the longest name of a rule that covers the file."""
    covering = [name for name in RULES if _below(file, name, "/")]
    assert covering, f"{file} is on no floor: give it a row in RULES"
    return max(covering, key=len)


def _below(name: str, folder: str, separator: str) -> bool:
    return name == folder or name.startswith(folder + separator)


def file_circles(root: Path) -> list[list[str]]:
    """Return every group of files that import each other in a circle, at whatever moment."""
    edges = {(module_of(a.file), a.module) for a in arrows(root)}
    return circles({(start, end) for start, end in edges if start != end})


def folder_circles(root: Path) -> list[list[str]]:
    """Return every circle between the files and folders that lie beside each other in a folder."""
    edges = set()
    for arrow in arrows(root):
        start = module_of(arrow.file).split(".")
        end = arrow.module.split(".")
        same = 0
        while same < min(len(start), len(end)) and start[same] == end[same]:
            same += 1
        # A package and what lies in it are not beside each other; and the command line, which may
        # import every package, lies in one of them.
        outward = same == 0 and arrow.file.startswith("dit_core/cli/")
        if same < min(len(start), len(end)) and not outward:
            edges.add((".".join(start[: same + 1]), ".".join(end[: same + 1])))
    return circles(edges)


def test_no_file_imports_against_the_layers():
    assert violations(ROOT) == []


def test_no_two_files_import_each_other_in_a_circle():
    assert file_circles(ROOT) == []


def test_no_two_folders_import_each_other_in_a_circle():
    assert folder_circles(ROOT) == []


def test_every_rule_names_what_there_is():
    assert [name for name in RULES if not (ROOT / name).exists()] == []


def _write(root: Path, files: dict[str, str]) -> Path:
    for package in PACKAGES:
        (root / package).mkdir(exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


LINES = {
    "a package that can run code": (
        "dit_core/study/science/a.py",
        "import torch",
        "torch",
    ),
    "a module taken from its package": (
        "dit_core/study/science/a.py",
        "from dit_core import executor",
        "dit_core.executor",
    ),
    "a name taken from a package": (
        "dit_core/study/science/a.py",
        "from analysis import load",
        "analysis",
    ),
    "training above the command line": (
        "dit_core/training/a.py",
        "from dit_core.cli import app",
        "dit_core.cli.app",
    ),
    "training above evaluation": (
        "dit_core/training/a.py",
        "import dit_core.evaluate.score as s",
        "dit_core.evaluate.score",
    ),
    "analysis above training": (
        "analysis/tables/a.py",
        "from dit_core.training import train",
        "dit_core.training.train",
    ),
    "siblings": (
        "slurm/orders/a.py",
        "def f():\n    import analysis.tables.load",
        "analysis.tables.load",
    ),
    "in a method": (
        "slurm/orders/a.py",
        "class A:\n    async def f(self):\n        from dit_core.bench import fit",
        "dit_core.bench.fit",
    ),
    "only for types": (
        "dit_core/records/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dit_core.model import dit",
        "dit_core.model.dit",
    ),
    "relative": (
        "dit_core/study/science/a.py",
        "from ..grid import expand",
        "dit_core.study.grid.expand",
    ),
    "relative to the own folder": (
        "dit_core/data/a.py",
        "from .. import training",
        "dit_core.training",
    ),
    "by a call": (
        "dit_core/records/a.py",
        'import importlib\nimportlib.import_module("dit_core.model.dit")',
        "dit_core.model.dit",
    ),
    "tables above select": (
        "analysis/tables/a.py",
        "def f():\n    from analysis.select import points",
        "analysis.select.points",
    ),
    "the price in the words of science": (
        "dit_core/study/science/a.py",
        "from dit_core.study.price import cost",
        "dit_core.study.price.cost",
    ),
    "at the top of a command": (
        "dit_core/cli/work/a.py",
        "import pandas as pd",
        "pandas",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_the_check_sees_a_violation(tmp_path: Path, case: str):
    name, line, module = LINES[case]
    known = [
        "dit_core/executor/__init__.py",
        "dit_core/training/__init__.py",
        "dit_core/training/train.py",
        "dit_core/cli/app.py",
        "dit_core/bench/fit.py",
        "dit_core/model/dit.py",
        "dit_core/study/grid/expand.py",
        "dit_core/study/price/cost.py",
        "analysis/select/points.py",
    ]
    root = _write(tmp_path, {**dict.fromkeys(known, ""), name: line + "\n"})
    assert violations(root) == [f"{name}: imports {module}"]


def test_the_check_lets_pass_what_is_allowed(tmp_path: Path):
    files = {
        "dit_core/__init__.py": "",
        "dit_core/cli/work/a.py": "def f():\n    import torch\n    from analysis.report import b\n",
        "dit_core/records/a.py": "from dit_core import __version__\nfrom . import rows\n",
        "dit_core/records/rows.py": "import json\nfrom dit_core.study.science import ids\n",
        "slurm/task/worker.py": "import torch\nfrom dit_core.executor import one_run\n",
    }
    assert violations(_write(tmp_path, files)) == []


def test_the_check_sees_circles_of_files_and_of_folders(tmp_path: Path):
    files = {
        "slurm/orders/a.py": "from slurm.task import b\n",
        "slurm/orders/c.py": "",
        "slurm/task/b.py": "def f():\n    from slurm.orders import c\n",
        "analysis/laws/d.py": "import analysis.laws.e\n",
        "analysis/laws/e.py": "def f():\n    from .d import g\n",
    }
    root = _write(tmp_path, files)
    assert file_circles(root) == [["analysis.laws.d", "analysis.laws.e"]]
    assert folder_circles(root) == [
        ["analysis.laws.d", "analysis.laws.e"],
        ["slurm.orders", "slurm.task"],
    ]


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_circle_of_any_length_is_one_group(length: int):
    ring = [f"m{i}" for i in range(length)]
    edges = [*pairwise([*ring, ring[0]]), ("m0", "tail"), ("head", "m0")]
    assert circles(edges) == [ring]


@pytest.mark.parametrize(
    "module", ["dit_core.cli.app", "dit_core.cli.work.plan", "dit_core.records.run_state"]
)
def test_planning_starts_without_torch_and_pandas(module: str):
    heavy = "{'torch', 'pandas', 'matplotlib', 'scipy'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_no_loading_that_can_run_code():
    bad = (
        "weights_only=" + "False",
        "pickle." + "load",
        "allow_pickle=" + "True",
        "shell=" + "True",
        "os." + "system",
    )
    files = {p: p.read_text() for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    assert [(p.name, word) for p, text in files.items() for word in bad if word in text] == []
    assert [
        p.name for p, text in files.items() if "yaml.load(" in text and "SafeLoader" not in text
    ] == []
    assert len(files) > 30
