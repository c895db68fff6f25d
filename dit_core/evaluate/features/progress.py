"""What an evaluation has finished: features by batch, so that a restart resumes.

A file is evals/<eval id>.part/<batch>-<setting>-<sha256>.safetensors: its name says under which
setting it was made and what its bytes must hash to. A file of another setting, or one that is torn
or altered, is not used.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from dit_core.records.disk.files import write_atomic

_NAME = re.compile(r"(\d{6})-([0-9a-f]{12})-([0-9a-f]{32})\.safetensors")


class Parts:
    """The features of finished batches in one folder, all of one setting."""

    def __init__(self, folder: Path, setting: str) -> None:
        """Take the folder and the text that fixes what features depend on; writes nothing."""
        self.folder = folder
        self.setting = hashlib.sha256(setting.encode()).hexdigest()[:12]

    def finished(self) -> set[int]:
        """Return the numbers of the batches stored under this setting (contents unchecked)."""
        return set(self._files())

    def save(self, batch: int, features: dict[str, Tensor]) -> None:
        """Publish the features of one batch, {layer: (B, width)}."""
        from safetensors.torch import save

        data = save({layer: value.contiguous() for layer, value in features.items()})
        digest = hashlib.sha256(data).hexdigest()[:32]
        write_atomic(self.folder / f"{batch:06d}-{self.setting}-{digest}.safetensors", data)

    def load(self, batch: int) -> dict[str, Tensor] | None:
        """Return the features of one batch; None where missing, or altered (then removed)."""
        from safetensors.torch import load

        path = self._files().get(batch)
        if path is None:
            return None
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None  # another process merged them already
        if hashlib.sha256(data).hexdigest()[:32] != path.name.split("-")[2].removesuffix(
            ".safetensors"
        ):
            path.unlink(missing_ok=True)
            return None
        return load(data)

    def remove(self) -> None:
        """Remove the folder with all parts, those of other settings too."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> dict[int, Path]:
        found: dict[int, Path] = {}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            match: Any = _NAME.fullmatch(path.name)
            if match and match[2] == self.setting:
                found[int(match[1])] = path
        return found
