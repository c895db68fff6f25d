"""Nothing is published under a claim that was taken over: every writer asks here first.

A process registers the claims it holds. Whoever publishes a file below one holds the claim's lock
for the length of its rename, and the claim must still be of the generation that was acquired: a
process that was stopped, and wakes after another took its run over, changes nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from dit_core.errors import DitlabError
from dit_core.records.disk.guard import guarded


class Superseded(DitlabError):
    """Another process took the work over while this one stood still; nothing was published."""

    exit_code = 76


class Claim:
    """A claim of this process: its file, and the generation it was acquired as."""

    def __init__(self, path: Path, generation: int) -> None:
        self.path = path
        self.generation = generation
        self.lost = False

    def covers(self, target: Path) -> bool:
        """Return whether a file may be published only while this claim is held.

        The claim of a run covers its folder, that of an evaluation its files, that of a submission
        the study's orders.
        """
        if self.path.name == "submit.lock.json":
            return target.parent == self.path.parent / "intents"
        if self.path.parent.name == "leases":
            evals = self.path.parent.parent / "evals"
            return target.parent == evals and target.name.startswith(self.path.stem)
        apart = target.name in (self.path.name, "wish.json") or target.parent.name == "leases"
        return not apart and target.is_relative_to(self.path.parent)

    @contextlib.contextmanager
    def still_held(self) -> Iterator[None]:
        """Hold the claim's lock; raise Superseded where another process took it over."""
        with contextlib.ExitStack() as stack:
            try:
                held = stack.enter_context(guarded(self.path, create=False))
            except (FileNotFoundError, NotADirectoryError):
                self.lost = True
                words = "its folder was moved or removed; this process leaves"
                raise Superseded(f"{self.path.parent}: {words}") from None
            if self.lost or held.generation != self.generation:
                self.lost = True
                raise Superseded(
                    f"{self.path.parent}: another process took this work over while this one stood "
                    f"still (generation {held.generation}, this one's is {self.generation}); "
                    "nothing is written, this process leaves"
                )
            yield


_claims: dict[Path, Claim] = {}
_inside = threading.local()


def register(claim: Claim) -> None:
    """Have this process's writers ask for `claim` from now on."""
    _claims[claim.path] = claim


def forget(claim: Claim) -> None:
    """Let go of a claim that was released."""
    if _claims.get(claim.path) is claim:
        del _claims[claim.path]


@contextlib.contextmanager
def publishing(target: Path) -> Iterator[None]:
    """Hold every claim that covers `target`, for the length of a rename.

    Raises Superseded where one was taken over.
    """
    held: set[Path] = _inside.__dict__.setdefault("held", set())
    wanted = [c for c in list(_claims.values()) if c.path not in held and c.covers(target)]
    with contextlib.ExitStack() as stack:
        for claim in sorted(wanted, key=lambda c: c.path):
            stack.enter_context(claim.still_held())
            held.add(claim.path)
            stack.callback(held.discard, claim.path)
        yield
