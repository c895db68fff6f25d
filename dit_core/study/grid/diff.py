"""What an edit of a study changes against the runs it had: kept, added, orphaned.

Nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dit_core.study.grid.expand import Expansion


@dataclass(frozen=True, slots=True)
class StudyDiff:
    """Runs by what became of them; each is run id to name, in the order of the study.

    `kept` are still asked for, `added` are new, `orphaned` were asked for and are no more: their
    records stay, the study's tables and figures leave them out. `renamed` are kept runs with
    another label: run id to (old, new).
    """

    kept: dict[str, str]
    added: dict[str, str]
    orphaned: dict[str, str]
    renamed: dict[str, tuple[str, str]]

    @property
    def is_conflict(self) -> bool:
        """Return whether runs lost their study by the edit."""
        return bool(self.orphaned)

    def lines(self, most: int = 10) -> list[str]:
        """Return the difference as text: a line of counts, then "+ name id" and "- name id".

        At most `most` runs of each sign are named.
        """
        counts = f"{len(self.kept)} kept, {len(self.added)} added, {len(self.orphaned)} orphaned"
        text = [f"{counts} (nothing is deleted)" if self.orphaned else counts]
        for sign, runs in (("+", self.added), ("-", self.orphaned)):
            text += [f"{sign} {name} {run_id}" for run_id, name in list(runs.items())[:most]]
            if len(runs) > most:
                text.append(f"{sign} ... and {len(runs) - most} more")
        return text


def compare(previous: Mapping[str, str] | Iterable[str], expansion: Expansion) -> StudyDiff:
    """Return what changed from the `previous` runs to those of the study as it is now.

    `previous` are ids, or ids to names.
    """
    before = (
        dict(previous) if isinstance(previous, Mapping) else {run_id: run_id for run_id in previous}
    )
    now = {run.run_id: run.name for run in expansion.runs}
    named = isinstance(previous, Mapping)
    return StudyDiff(
        kept={run_id: name for run_id, name in now.items() if run_id in before},
        added={run_id: name for run_id, name in now.items() if run_id not in before},
        orphaned={run_id: name for run_id, name in before.items() if run_id not in now},
        renamed={
            i: (before[i], n) for i, n in now.items() if named and i in before and before[i] != n
        },
    )
