"""The training curve as TensorBoard event files; metrics.jsonl beside them is the record."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Any


class Board:
    """Write rows as scalars over images seen.

    A failure ends the writing silently: it must not stop a training.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._broken = False

    def write(self, row: dict[str, Any]) -> None:
        """Add the numbers of one row.

        The file and the library are opened at the first row: 0.2 s once per process.
        """
        if self._broken:
            return
        try:
            self._add(row)
        except Exception:
            # A full disk, a missing package, another protobuf: the rows are safe in metrics.jsonl.
            self._broken = True

    def _add(self, row: dict[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        if self._writer is None:
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
            self._writer = RecordWriter(open(self._folder / name, "ab"))  # noqa: SIM115
            self._writer.write(
                Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()
            )
        numbers = {
            k: v
            for k, v in row.items()
            if isinstance(v, int | float) and k not in ("images", "step")
        }
        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        event = Event(wall_time=time.time(), step=row["images"], summary=Summary(value=values))
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def close(self) -> None:
        """Close the file; harmless where there is none."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None
            self._broken = True
