"""Whether what runs or is believed as you could have been put there by somebody else, as ssh asks.

The owner of a file and of every folder on the way to it is you or root, and nobody else may write
there. In a sticky folder like /tmp anybody may add files but change only their own, so there the
entry itself must be yours.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dit_core.errors import UserError


def refuse_foreign(path: Path, why: str, *, above: bool = True) -> None:
    """Raise UserError where another user owns or may write `path`, or a folder on the way to it.

    `why` says what is at stake. Links are followed: each folder on the way of the real path counts.
    """
    real = Path(os.path.realpath(path))
    for place in (real, *(real.parents if above else ())):
        status = place.stat()
        if status.st_uid not in (0, os.getuid()):
            raise UserError(
                f"{place}: belongs to another user (number {status.st_uid}), and {why}; use a file "
                "and folders of your own"
            )
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
            raise UserError(
                f"{place}: others may write here, and {why}; chmod go-w it, or use a file and "
                "folders of your own"
            )
