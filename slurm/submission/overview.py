"""How a study stands: one line per run, counts, device-hours used and to come."""

from __future__ import annotations

from typing import Any

from dit_core.records.paths import Store
from dit_core.records.run_state import STATES, whole_run
from dit_core.study.price.facts import network_facts
from dit_core.study.science.run import Run
from slurm.standing.gather import View
from slurm.standing.standing import Facts, Standing, stand, stand_eval
from slurm.submission.hours import sampling_flops, seconds_per_flop, train_flops, used_hours

# Beyond this many runs the attempts of finished ones are not read just to add up their hours.
_MOST_HOURS = 3000


def overview(store: Store, study: str, runs: tuple[Run, ...], view: View) -> dict[str, Any]:
    """Return how a study stands, as plain values."""
    rows = []
    counts = dict.fromkeys(STATES, 0)
    measured = dict.fromkeys(STATES, 0)
    left = 0.0
    for run in runs:
        row, training, evals = _row(run, view.facts[run.run_id])
        rows.append(row)
        counts[row["state"]] += 1
        for standing in evals.values():
            measured[standing.word] += 1
        if training.word not in ("done", "diverged"):
            left += train_flops(run) * (1 - (row["images_seen"] or 0) / run.science.train.images)
        if training.word != "diverged":
            left += sampling_flops(run, [k for k, s in evals.items() if s.word != "done"])
    used = sum(used_hours(store, r) for r in runs) if len(runs) <= _MOST_HOURS else None
    speed = seconds_per_flop(store, runs)
    running = counts["running"]
    hours_left = left * speed / 3600 if speed is not None else None
    return {
        "study": study,
        "runs": rows,
        "counts": {word: n for word, n in counts.items() if n},
        "evaluations": {word: n for word, n in measured.items() if n},
        "device_hours_used": used,
        "device_hours_left": hours_left,
        "hours_left": hours_left / running if hours_left is not None and running else None,
        "scheduler": view.book.queue.trouble if _was_ever_used(store) else None,
    }


def _was_ever_used(store: Store) -> bool:
    """Return whether anything was ever submitted: if not, a silent scheduler is no news."""
    return any(any(store.intents(study.name).glob("*")) for study in store.studies.glob("*"))


def headline(seen: dict[str, Any]) -> list[str]:
    """Return the sums of an overview as lines of text."""
    runs = ", ".join(f"{n:,} {word}" for word, n in seen["counts"].items())
    evals = ", ".join(f"{n:,} {word}" for word, n in seen["evaluations"].items())
    lines = [f"{len(seen['runs']):,} runs: {runs or 'none'}", f"evaluations: {evals or 'none'}"]
    used = seen["device_hours_used"]
    left = seen["device_hours_left"]
    clock = seen["hours_left"]
    hours = [f"{used:.3g} device-hours of training used" if used is not None else ""]
    hours.append(f"about {left:.3g} to come" if left is not None else "")
    hours.append(f"about {clock:.3g} h left at the present pace" if clock is not None else "")
    lines += [", ".join(h for h in hours if h)] if any(hours) else []
    if seen["scheduler"]:
        lines.append(f"note: {seen['scheduler']}; what is queued or running there is unknown")
    return lines


def _row(run: Run, facts: Facts) -> tuple[dict[str, Any], Standing, dict[str, Standing]]:
    training = stand(facts)
    evals = {key: stand_eval(facts, e, training) for key, e in facts.evals.items()}
    made = sum(s.word == "done" for s in evals.values())
    science = run.science
    row = {
        "run_id": run.run_id,
        "name": run.name,
        "state": whole_run(training.word, made, len(run.evaluations)),
        "why": training.why,
        "task": training.task,
        "images_seen": science.train.images if training.word == "done" else facts.images_seen,
        "images": science.train.images,
        "evaluations": len(run.evaluations),
        "evaluated": made,
        "evaluations_failed": sum(s.word == "failed" for s in evals.values()),
        **{key: value for key, value in network_facts(science).items() if key != "tokens"},
        "seed": science.train.seed,
        "swept": run.swept,
    }
    return row, training, evals
