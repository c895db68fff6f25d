"""The folder of files that serve all studies on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def assets_folder() -> Path:
    """Return $DITLAB_ASSETS, else ~/.cache/ditlab."""
    return Path(os.environ.get("DITLAB_ASSETS") or Path.home() / ".cache" / "ditlab")
