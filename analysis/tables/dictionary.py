"""results/README.md: the data dictionary, generated from `analysis.tables.columns`.

`python -m analysis.tables.dictionary > results/README.md` writes it.
"""

from __future__ import annotations

from analysis.tables.columns import METRIC_NOTES, Column, tables

_HEAD = """# Results

What is kept of every run, and the tables made of it. `published/` holds the paper's numbers (see
its own README). `ditlab run` and `ditlab submit` write `runs/` and `studies/`; `index/` can be
deleted at any time.

```
runs/<ab>/<run id>/         one training, shared by all studies that need it
  run.yaml                  its resolved science, written once; its hash is the folder's name
  attempts/<n>/             one start on one host
    attempt.json            host, device, times, how it ended
    metrics.jsonl           training curve
  checkpoints/<images>/     to resume from (`ditlab gc` removes those of ended runs)
  snapshots/<images>/       EMA weights at the points that are measured
  evals/<eval id>.json      one measurement: metrics, intervals, protocol, seconds, provenance
  outcome.json              DONE, DIVERGED or FAILED; written last
studies/<name>/             study.yaml and plan.json as last run, report/
index/                      the tables below as Parquet, updated before every query
```

Each file has one writer. Each line of a curve ends in its own checksum; each folder of weights has
a manifest of sizes and hashes. Records that cannot be believed are left out of the tables and
listed in `problems`; `ditlab doctor` says how to repair them. Missing is missing: an unknown value
is never 0, nor the value before it.

An ended run is read again when one of its folders changes, which publishing a record always does.
`ditlab doctor` notices a record that was edited in place at once; queries notice it after
`ditlab query --rebuild`.

Query the tables with `ditlab query` (docs/query.md) or from Python:
`from analysis.tables.load import runs, evals, metrics`.
"""

_NOTES = {
    "runs": "One row per run that has a folder.",
    "evals": (
        "One row per evaluation. Each metric adds three columns: itself, `_low`, `_high`. "
        "The view `results` is this table with the columns of `runs` beside it."
    ),
    "metrics": (
        "Training curves: one row per logged point, of the latest attempt that reached it. "
        "Further numbers that training logs are further columns."
    ),
    "attempts": "One row per start of a run.",
    "members": "The runs and evaluations in each study's plan, started or not.",
    "problems": "Places in the records that are left out of the other tables.",
}
_TABLE_HEAD = "| column | type | unit | meaning |\n| --- | --- | --- | --- |"


def text() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for name, columns in tables().items():
        parts.append(f"\n## {name}\n\n{_NOTES[name]}\n\n{_TABLE_HEAD}")
        parts += [_row(c) for c in columns]
        if name == "evals":
            for ending, words in METRIC_NOTES.items():
                column = Column(f"<metric>{ending}", "number", "", words.format("<metric>"))
                parts.append(_row(column))
    return "\n".join(parts) + "\n"


def _row(column: Column) -> str:
    meaning = column.meaning.replace("|", r"\|")
    return f"| `{column.name}` | {column.type} | {column.unit} | {meaning} |"


if __name__ == "__main__":
    print(text(), end="")
