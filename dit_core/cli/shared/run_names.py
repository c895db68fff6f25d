"""Names of runs in narrow columns: broken after commas, and where that is too long after `=`."""

from __future__ import annotations

import re


def broken(name: str, width: int) -> str:
    """Return a name in lines of at most `width` columns where its words allow it."""
    lines: list[str] = []
    for part in re.findall(r"[^,]+,?", name):
        pieces = [part] if len(part) <= width else re.findall(r"[^=]+=?", part)
        for piece in pieces:
            if lines and len(lines[-1]) + len(piece) <= width:
                lines[-1] += piece
            else:
                lines.append(piece)
    return "\n".join(lines)
