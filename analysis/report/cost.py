"""What a study was predicted to cost and what it has cost."""

from __future__ import annotations

import pandas as pd

from analysis.select.source import Source

_HOURS = ("predicted_hours", "device_hours", "planned_evals", "predicted_eval_hours")


def cost_rows(source: Source) -> list[dict[str, str]]:
    """Return what a study costs by line: compute planned, hours predicted and used, starts."""
    runs = source.runs
    rows = []
    if "train_flops" in runs and runs["train_flops"].notna().any():
        rows.append(
            {"what": "Training compute planned", "value": f"{runs['train_flops'].sum():.3g} FLOP"}
        )
    finished = (runs["outcome"] == "DONE").to_numpy()
    for what, predicted, used in _hours(source):
        for words, hours in (("predicted by the plan", predicted), ("used", used)):
            if hours.notna().any():
                known = hours.dropna()
                value = f"{known.sum():.3g} h ({len(known)} of {len(runs)} runs)"
                rows.append({"what": f"Device-hours of {what} {words}", "value": value})
        both = predicted.notna() & used.notna() & finished
        if predicted[both].sum() > 0:
            title = f"Used / predicted, {what}, over {both.sum()} finished runs"
            rows.append({"what": title, "value": f"{used[both].sum() / predicted[both].sum():.2f}"})
    if "attempts" in runs and runs["attempts"].notna().any():
        rows.append(
            {"what": "Starts", "value": f"{runs['attempts'].sum():.0f} for {len(runs)} runs"}
        )
    return rows


def _hours(source: Source) -> list[tuple[str, pd.Series, pd.Series]]:
    """Return (what, predicted, used) device-hours per run, of training and of evaluation.

    Hours of evaluation count as used where all evaluations that the plan asks of the run are made.
    """
    runs = source.runs.reindex(columns=list({*source.runs.columns, *_HOURS})).set_index("run_id")
    training = runs["predicted_hours"].astype(float), runs["device_hours"].astype(float)
    measured = source.results.reindex(columns=["run_id", "eval_id", "seconds"]).dropna(
        subset=["eval_id", "seconds"]
    )
    made = measured.groupby("run_id")["seconds"].agg(["sum", "count"]).reindex(runs.index)
    complete = runs["planned_evals"].isna() | (made["count"] >= runs["planned_evals"].astype(float))
    evaluation = (made["sum"] / 3600).astype(float).where(complete)
    return [
        ("training", *training),
        ("evaluation", runs["predicted_eval_hours"].astype(float), evaluation),
    ]
