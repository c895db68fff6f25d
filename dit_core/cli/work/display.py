"""What `ditlab run` shows while workers train: a bar on a terminal, elsewhere a line per run."""

from __future__ import annotations

import time
from typing import Any

from dit_core.cli.shared.reasons import Reasons
from dit_core.executor.local import work
from dit_core.study.price import cost
from dit_core.study.price.prefixes import si
from dit_core.study.science.run import Run


class Display:
    """Live progress on a terminal; elsewhere a line per finished run."""

    def __init__(self, runs: list[Run], say: Any) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._runs = {r.run_id: r for r in runs}
        self._work = {r.run_id: work(r) for r in runs}
        self._done = dict.fromkeys(self._runs, 0.0)
        self._at_first: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self._finished = 0
        self._failures = Reasons()
        self._started = time.monotonic()
        self._say = say
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=sum(self._work.values()), note="starting")

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event of a worker and show where things stand."""
        key = event.get("run", "")
        if event["event"] == "progress":
            run = self._runs[key]
            trained = cost.train_flops_of(cost.fwd_macs(run.science), event["images"])
            self._at_first.setdefault(key, trained)
            self._done[key] = trained
            self._rates[key] = event["rate"]
        elif event["event"] == "end":
            self._end(key, event["how"], event["reason"])
        self._show()

    def _end(self, key: str, how: str, reason: str | None) -> None:
        self._rates.pop(key, None)
        self._done[key] = self._work[key]
        if how == "owned":  # by another process; it is tried again
            return
        self._finished += 1
        note = f": {self._failures.short(reason)}" if reason else ""
        self._line(f"{self._finished}/{len(self._runs)} {how:<8} {self._runs[key].name}{note}")

    def _line(self, text: str) -> None:
        if self._progress.disable:
            self._say(text)
        else:
            self._progress.console.print(text, markup=False)

    def _show(self) -> None:
        done = sum(self._done.values())
        total = sum(self._work.values())
        fresh = done - sum(self._at_first.values())
        elapsed = time.monotonic() - self._started
        left = (
            f"{_clock((total - done) * elapsed / fresh)} left" if fresh > 0 and elapsed > 2 else "…"
        )
        note = f"{si(sum(self._rates.values()))} images/s, {left}"
        self._progress.update(
            self._task,
            completed=done,
            note=note,
            description=f"{self._finished}/{len(self._runs)} runs",
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
