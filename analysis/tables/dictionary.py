"""results/README.md: the data dictionary, generated from `analysis.tables.columns` and held equal
to it by a test.

`python -m analysis.tables.dictionary > results/README.md` writes it.
"""

from __future__ import annotations

from analysis.tables.columns import METRIC_NOTES, Column, tables

_HEAD = """# Results

What is kept of every run, and the tables made of it. `published/` holds the paper's numbers (its own README says what
they are); `runs/` and `studies/` are written by `ditlab run` and `ditlab submit`, `index/` can be deleted at any time.

```
runs/<ab>/<run id>/                    one training, shared by all studies that need it
  run.yaml                             its resolved science, written once; the folder's name is the hash of it
  attempts/<n>/attempt.json            one start on one host; metrics.jsonl beside it is the training curve
  checkpoints/<images>/                to go on from (ditlab gc removes those of ended runs)
  snapshots/<images>/                  EMA weights at the points that are measured
  evals/<eval id>.json                 one measurement: metrics with intervals, protocol, seconds, provenance
  outcome.json                         DONE, DIVERGED or FAILED; written last
studies/<name>/                        study.yaml and plan.json as last carried out, report/
index/                                 the tables below as Parquet, brought up to the records before every question
```

Each file has one writer. Each line of a curve ends in its own checksum; the folders of weights carry a manifest of
sizes and hashes. What cannot be believed is left out of the tables and listed in `problems`; `ditlab doctor` says how
to mend it. Missing is missing: no value is ever 0, or the one before, because it could not be had.

An ended run is looked at again when one of its folders changes, which publishing a record always does. A record that
was edited by hand in place is seen by `ditlab doctor` at once and by queries after `ditlab query --rebuild`.

Ask them with `ditlab query` (docs/query.md) or from Python: `from analysis.tables.load import runs, evals, metrics`.
"""

_NOTES = {
    "runs": "One row per run that has a folder.",
    "evals": "One row per evaluation. Each metric adds three columns: itself, `_low`, `_high`. The view `results` is "
    "this table with the columns of `runs` beside it.",
    "metrics": "Training curves: one row per logged point, of the latest attempt that reached it. Further numbers that "
    "training logs are further columns.",
    "attempts": "One row per start of a run.",
    "members": "Which runs and evaluations a study asks for, from its plan: planned ones too.",
    "problems": "Places in the records that are left out of the other tables.",
}


def text() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for name, columns in tables().items():
        parts.append(
            f"\n## {name}\n\n{_NOTES[name]}\n\n| column | type | unit | meaning |\n| --- | --- | "
            "--- | --- |"
        )
        parts += [_row(c) for c in columns]
        if name == "evals":
            for ending, words in METRIC_NOTES.items():
                parts.append(
                    _row(Column(f"<metric>{ending}", "number", "", words.format("<metric>")))
                )
    return "\n".join(parts) + "\n"


def _row(column: Column) -> str:
    return f"| `{column.name}` | {column.type} | {column.unit} | {column.meaning.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    print(text(), end="")
