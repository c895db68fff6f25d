"""Links, anchors, paths and Python names on every page lead somewhere."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "studies/*.md", "results/**/README.md")
    for path in ROOT.glob(pattern)
)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")
CODE = re.compile(r"`([^`\n]+)`")
# A path that begins at the root of the repository; `results/runs` and the like are the user's own.
TOPS = "dit_core|slurm|analysis|docs|studies|tests|benchmarks|results/published"
PATH = re.compile(rf"(?:{TOPS})/[\w./-]*")
NAME = re.compile(r"(?:dit_core|slurm|analysis)(?:\.\w+)+")
EXAMPLES = {"studies/NAME.yaml", "studies/x.yaml", "studies/mine.yaml"}


def prose(page: str) -> str:
    """Return the page without its fenced blocks."""
    return FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[\s]", "-", heading) for heading in plain}


def test_there_are_pages():
    assert {"README.md", "CONTRIBUTING.md", "docs/tutorial.md", "studies/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str):
    broken = []
    for link in LINK.findall(prose(page)):
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        found = path.exists() and (not anchor or anchor in anchors(path))
        if not found:
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_exists(page: str):
    named = {code for code in CODE.findall(prose(page)) if PATH.fullmatch(code)} - EXAMPLES
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_python_name_exists(page: str):
    wrong = []
    for name in sorted({code for code in CODE.findall(prose(page)) if NAME.fullmatch(code)}):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError) as error:
            wrong.append(f"{name}: {error}")
    assert wrong == []
