"""`make docs`: the site builds without a network, strictly, and its pages fetch nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FETCHED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(?:https?:)?//', re.I)
NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "ALL_PROXY")}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site."""
    if importlib.util.find_spec("mkdocs") is None:
        if os.environ.get("DITLAB_REQUIRE_PACKAGES"):
            pytest.fail("mkdocs is not installed: pip install -e '.[docs]'")
        pytest.skip("mkdocs is not installed: pip install -e '.[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    environment = {**os.environ, **NO_NETWORK, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_api_pages_are_made_from_the_docstrings(site: Path):
    assert 'id="dit_core.model.dit.DiT"' in (site / "api" / "model.html").read_text()
    assert 'id="analysis.tables.load.results"' in (site / "api" / "analysis.html").read_text()


def test_pages_outside_docs_are_there(site: Path):
    for page in ("studies/index.html", "results/index.html", "CONTRIBUTING.html", "LICENSE"):
        assert (site / page).is_file(), page
    assert (site / "studies" / "digits.yaml").is_file()


def test_the_site_can_be_searched(site: Path):
    index = json.loads((site / "search" / "search_index.json").read_text())
    places = {document["location"].partition("#")[0] for document in index["docs"]}
    assert {"tutorial.html", "slurm.html", "api/model.html"} <= places


def test_no_page_fetches_anything_from_elsewhere(site: Path):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert [page.name for page in pages if FETCHED.search(page.read_text())] == []
    styles = [style.read_text() for style in site.rglob("*.css")]
    assert not any("url(http" in style or "url(//" in style for style in styles)
