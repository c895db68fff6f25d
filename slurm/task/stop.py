"""Whether a task was told to leave: the signals by which Slurm says that time is up."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from types import FrameType


class Interrupted(BaseException):
    """A signal during an evaluation, which keeps nothing in memory that is worth saving."""


@dataclass
class Stop:
    """Whether this task was told to leave.

    The handler only sets a flag (saving inside it could catch the weights in the middle of a step),
    except while `interruptible` is set: then nothing is there to save, and it raises Interrupted.
    """

    reason: str | None = None
    interruptible: bool = False

    def listen(self) -> Stop:
        """Take over the signals that end a task."""
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        return self

    def __call__(self) -> str | None:
        """Return the reason to stop, or None."""
        return self.reason

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.reason = signal.Signals(number).name
        if self.interruptible:
            self.interruptible = False
            raise Interrupted(self.reason)
