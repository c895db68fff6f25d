"""What the site shows besides docs/: pages and studies that lie elsewhere in the repository.

They are mounted under their own paths, docs/ itself at the top. Links between all of these pages
are written for the repository, where they must work too, and rewritten here.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
MOUNTED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "CITATION.cff",
    "results/README.md",
    "results/published/README.md",
    "studies/README.md",
    "studies/*.yaml",
    "studies/*.json",
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that lie outside docs/."""
    for pattern in MOUNTED:
        for path in sorted(ROOT.glob(pattern)):
            name = in_site(path.relative_to(ROOT).as_posix())
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page from the repository's tree to the site's."""
    source = page.file.src_uri
    here = source if (ROOT / source).is_file() else f"docs/{source}"

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[1]))
        link = posixpath.relpath(in_site(target), posixpath.dirname(source) or ".")
        return f"]({link}{match[2] or ''})"

    return LINK.sub(rewritten, markdown)


def in_site(path: str) -> str:
    """Return the place in the site of a path of the repository."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")
