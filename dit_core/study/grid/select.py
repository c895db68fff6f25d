"""Which runs of a study a command is about: ids, names, and filters like `model.size=XL`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dit_core.errors import UserError, nearest
from dit_core.study.science import ids
from dit_core.study.science.run import Run


def select(runs: Iterable[Run], words: Sequence[str]) -> tuple[Run, ...]:
    """Return the runs that `words` name; all of them where there are none.

    A word with "=" is a filter on a science path, several values joined by commas; filters on
    different paths must all hold. Any other word is a run's id, the beginning of one, or its name.
    Raises UserError naming the nearest known path or run.
    """
    chosen = tuple(runs)
    filters = [w for w in words if "=" in w and not any(w == r.name for r in chosen)]
    named = [w for w in words if w not in filters]
    for word in filters:
        chosen = _filtered(chosen, word)
    if not named:
        return chosen
    wanted = [_named(chosen, word) for word in named]
    return tuple({run.run_id: run for run in wanted}.values())


def _named(runs: tuple[Run, ...], word: str) -> Run:
    """Return the run of a name or an id; raise UserError where it is none or several."""
    hits = [r for r in runs if word in (r.name, r.run_id)]
    hits = hits or [r for r in runs if len(word) >= 3 and r.run_id.startswith(word)]
    if not hits:
        known = [r.name for r in runs] + [r.run_id for r in runs]
        raise UserError(f"no run {word!r} among {len(runs)} of this study{nearest(word, known)}")
    if len(hits) > 1:
        ids = ", ".join(r.run_id for r in hits[:5])
        raise UserError(f"{word!r} begins {len(hits)} ids: {ids}; give more digits")
    return hits[0]


def _filtered(runs: tuple[Run, ...], word: str) -> tuple[Run, ...]:
    path, _, values = word.partition("=")
    wanted = {value.strip() for value in values.split(",")}
    known: set[str] = set()
    kept = []
    seen = set()
    for run in runs:
        flat = _flat(run)
        known |= flat.keys()
        if path in flat:
            seen.add(_word(flat[path]))
            if _word(flat[path]) in wanted:
                kept.append(run)
    if runs and path not in known:
        raise UserError(f"filter {word!r}: no setting {path!r}{nearest(path, known)}")
    if runs and not kept:
        raise UserError(f"filter {word!r}: no run has that; {path} is {', '.join(sorted(seen))}")
    return tuple(kept)


def _flat(run: Run) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, fields in ids.canonical(run.science).items():
        flat |= {f"{section}.{name}": value for name, value in fields.items()}
    return flat | {"model.size": run.science.model.size, "name": run.name} | run.swept


def _word(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
