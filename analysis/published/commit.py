"""The commit of the published numbers, for the footers of figures."""

from __future__ import annotations

import shutil
import subprocess

from analysis.published.numbers import folder


def published_commit() -> str | None:
    """Return the last commit that touched the published tables, or None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(folder()), "log", "-1", "--format=%H", "--", "."]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return done.stdout.strip() or None
