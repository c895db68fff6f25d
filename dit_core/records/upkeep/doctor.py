"""Checking what no table shows: weights, outcomes against snapshots, plans, leftovers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dit_core.errors import RecordError
from dit_core.records.disk import bundle, lease
from dit_core.records.disk.files import TornFile, read_json, sha256_of
from dit_core.records.paths import RunPaths, Store
from dit_core.records.rows import Problem

# What to do about each kind of problem, by the file's place.
REMEDIES = (
    ("metrics.jsonl", "", "nothing to do: the good rows are used and the others are left out"),
    ("/evals/", "", "remove the file; `ditlab run STUDY` measures it again"),
    (
        "/snapshots/",
        "",
        "remove the folder; if an evaluation needs it, `ditlab run STUDY` trains the run again",
    ),
    (
        "/checkpoints/",
        "",
        "nothing to do: the next attempt falls back to an older one; `ditlab gc` removes it",
    ),
    (
        "outcome.json",
        "missing",
        "remove outcome.json; `ditlab run STUDY` resumes from the newest checkpoint",
    ),
    ("outcome.json", "", "remove the file; `ditlab run STUDY` resumes from the newest checkpoint"),
    ("run.yaml", "missing", "move the folder away: nothing says what was trained there"),
    (
        "run.yaml",
        "",
        "restore the file from a copy, or move the folder away; `ditlab run STUDY` trains it again",
    ),
    (
        "data.json",
        "",
        "restore the file from a copy; or remove it: the next start records the data anew",
    ),
    (
        "attempt.json",
        "",
        "nothing to do: the curve beside it is used; host and hours of that attempt are missing",
    ),
    ("plan.json", "", "`ditlab run STUDY` or `ditlab submit STUDY --go` writes it again"),
    ("study.yaml", "", "copy the study's file there again, or run the study"),
    ("", "orphan", "`ditlab gc --go` removes it an hour after it was written"),
    ("", "", "look at the file; nothing uses it as it is"),
)


def remedy(problem: Problem) -> str:
    """Return what to do about a problem."""
    path = f"/{problem.path}"
    for place, kind, words in REMEDIES:
        if place in path and kind in ("", problem.kind):
            return words
    raise AssertionError("the last remedy fits everything")


def check_run(paths: RunPaths, *, quick: bool = False) -> Iterator[Problem]:
    """Yield what is wrong with a run's weights (hashed unless `quick`), outcome and leftovers."""
    for parent in (paths.snapshots, paths.checkpoints):
        for folder in sorted(_folders(parent)):
            if folder.name.isdigit():
                try:
                    bundle.verify(folder, sizes_only=quick)
                except bundle.BundleError as error:
                    kind = "altered" if error.altered else "torn"
                    detail = error.cause if error.name is None else f"{error.name}: {error.cause}"
                    yield Problem(str(folder), kind, detail)
    yield from _check_outcome(paths)
    if lease.holder(paths.lease) is None:
        yield from _leftovers(paths)


def check_studies(store: Store) -> Iterator[Problem]:
    """Yield plans that are torn or name runs in a way nothing can read."""
    for folder in sorted(_folders(store.studies)):
        plan = store.plan(folder.name)
        try:
            record = read_json(plan)
        except FileNotFoundError:
            yield Problem(str(plan), "missing", "the study has no plan, so its runs are not known")
            continue
        except TornFile as error:
            yield Problem(str(plan), "torn", error.cause)
            continue
        except OSError as error:
            yield Problem(str(plan), "torn", error.strerror or "cannot be read")
            continue
        runs = record.get("runs") if isinstance(record, dict) else None
        if not (
            isinstance(runs, list)
            and all(isinstance(r, dict) and isinstance(r.get("run_id"), str) for r in runs)
        ):
            yield Problem(str(plan), "type", "holds no list of runs")
        text = store.study_yaml(folder.name)
        if not text.exists():
            yield Problem(str(text), "missing", "the study's own file is not beside its plan")


def check_places(store: Store) -> Iterator[Problem]:
    """Yield what lies under runs/ where no run lies."""
    for bucket in sorted(_entries(store.runs)):
        if len(bucket.name) != 2 or not bucket.is_dir():
            yield Problem(str(bucket), "orphan", "is no folder of runs")
            continue
        for folder in sorted(_entries(bucket)):
            if not folder.is_dir() or folder.name[:2] != bucket.name:
                yield Problem(str(folder), "orphan", "is no run, or lies in the wrong folder")


def _check_outcome(paths: RunPaths) -> Iterator[Problem]:
    """Yield snapshots that differ from what the outcome vouches for, or are unduly gone."""
    try:
        record = read_json(paths.outcome)
    except (FileNotFoundError, NotADirectoryError, RecordError, OSError):
        return  # absent is no fault; torn is found where the record itself is read
    vouched = record.get("snapshots") if isinstance(record, dict) else None
    names = sorted(vouched) if isinstance(vouched, dict) else []
    for name in names:
        manifest = paths.snapshots / name / bundle.MANIFEST
        if not manifest.exists():
            if name == names[-1]:  # earlier ones may have been removed by `ditlab gc --snapshots`
                yield Problem(
                    str(paths.outcome),
                    "missing",
                    f"vouches for snapshot {name}, which is not there",
                )
        elif isinstance(vouched, dict) and sha256_of(manifest) != vouched[name]:
            yield Problem(
                str(manifest), "altered", "is not the manifest that outcome.json vouches for"
            )


def _leftovers(paths: RunPaths) -> Iterator[Problem]:
    for parent in (
        paths.root,
        paths.checkpoints,
        paths.snapshots,
        paths.evals,
        *_folders(paths.attempts),
    ):
        for path in sorted(_entries(parent)):
            if path.name.startswith(".") and path.name.endswith((".tmp", ".gone")):
                yield Problem(str(path), "orphan", "left by a killed writer")


def _folders(parent: Path) -> list[Path]:
    return [path for path in _entries(parent) if path.is_dir() and not path.name.startswith(".")]


def _entries(parent: Path) -> list[Path]:
    try:
        return list(parent.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
