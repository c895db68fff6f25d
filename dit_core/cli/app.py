"""The command `ditlab`.

A command's module is imported when the command is called: `ditlab --help` starts at once.
"""

from __future__ import annotations

import errno
import functools
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from dit_core import __version__
from dit_core.errors import DitlabError, UserError, nearest

Command = tuple[str, str, str]

# Heading: {command: (module below dit_core.cli, function, one line of help)}, in the order of
# `ditlab --help`.
GROUPS: dict[str, dict[str, Command]] = {
    "Everyday": {
        "plan": ("work.plan", "plan", "Show what a study would run and what it costs."),
        "run": ("work.run", "run", "Run a study here; run it again to resume."),
        "status": ("cluster.status", "status", "Show the state of every run of a study."),
        "query": ("results.query", "query", "Query the result tables, by SQL or by column."),
        "figures": ("results.figures", "figures", "Draw the paper's figures and tables."),
        "claims": ("results.claims", "claims", "Judge a study's claims, or the paper's."),
        "report": ("results.report", "report", "Write a study's report: one HTML page."),
    },
    "Clusters": {
        "submit": ("cluster.submit", "submit", "Submit missing work to Slurm; dry without --go."),
        "watch": ("cluster.watch", "watch", "Show the status, live."),
        "logs": ("cluster.logs", "logs", "Show the log of a run's newest task."),
        "why": ("cluster.why", "why", "Explain what happened to a run, by attempt."),
        "cancel": ("cluster.cancel", "cancel", "Cancel queued and running tasks of runs."),
        "retry": ("cluster.retry", "retry", "Let failed or cancelled runs be submitted again."),
        "clusters": (
            "cluster.clusters",
            "clusters",
            "Show profiles; propose one for this cluster.",
        ),
    },
    "Analysis": {
        "fit": ("results.fit", "fit", "Fit a study's scaling laws, with intervals."),
        "plot": ("results.plot", "plot", "Draw any column against any other."),
        "compare": ("results.compare", "compare", "Compare results by one column, with the noise."),
        "diff": ("results.diff", "diff", "Show how two runs differ, settings and results."),
        "export": ("results.export", "export", "Copy a study to TensorBoard, MLflow or W&B."),
    },
    "Samples and evaluation": {
        "sample": ("work.sample", "sample", "Draw a picture of a run's samples."),
        "evaluate": ("work.evaluate", "evaluate", "Make missing evaluations; never trains."),
        "reference": ("data.reference", "reference", "Compute reference statistics of images."),
        "validate": (
            "data.validate",
            "validate",
            "Validate the evaluator on a public sample batch.",
        ),
    },
    "Data and weights": {
        "fetch": ("data.fetch", "fetch", "Bring a set of real images here."),
        "encode": ("data.encode", "encode", "Encode a folder of images as VAE latents."),
        "import": ("data.weights", "import_", "Import external weights as a run."),
        "export-weights": (
            "data.weights",
            "export",
            "Write a run's weights for the released code or diffusers.",
        ),
    },
    "Upkeep": {
        "bench": ("work.bench", "bench", "Measure this machine; calibrate `plan`'s predictions."),
        "doctor": ("upkeep.doctor", "doctor", "Check every record; name remedies."),
        "gc": ("upkeep.gc", "gc", "Free disk space by policy; dry without --go."),
        "pack": ("upkeep.pack", "pack", "Archive a study's records and report."),
        "unpack": ("upkeep.pack", "unpack", "Add an archive's records to the results."),
    },
}
COMMANDS: dict[str, Command] = {
    name: (f"dit_core.cli.{module}", function, text)
    for group in GROUPS.values()
    for name, (module, function, text) in group.items()
}

_FREE = "free some disk space (`ditlab gc` removes by policy), then run the command again"
_WRITE = "give a writable place (--results DIR, --out), or change its permissions"
_REMEDIES = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EROFS: _WRITE,
    errno.EACCES: _WRITE,
    errno.EPERM: _WRITE,
    errno.EISDIR: "this is a folder; give the path of a file",
    errno.ENOTDIR: "this is a file; give the path of a folder",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
}
# A path of the wrong kind is the user's mistake; all else is the state of the machine.
_WRONG_PATH = (IsADirectoryError, NotADirectoryError)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code.

    0: ok; 1: some runs failed; 2: wrong input; 3: a problem of the environment.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    # A caller may have closed them (`>&-`): then the output is dropped.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    nowhere = _goes_nowhere()
    try:
        try:
            _answer(args)
        finally:
            _flush()
    except SystemExit as leaving:
        if leaving.code == 1 and not nowhere and _goes_nowhere():
            # The reader left: rich then redirects to the null device and leaves with 1.
            raise SystemExit(0) from None
        raise
    except DitlabError as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            print(f"error: {line}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError as error:
        # How the command ended, where only its last output found no reader.
        ended = error.__context__
        raise SystemExit(ended.code if isinstance(ended, SystemExit) else 0) from None
    except OSError as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, _WRONG_PATH) else 3) from None


def _answer(args: list[str]) -> None:
    if not args or args[0] in ("--help", "-h", "help"):
        print(_help())
        raise SystemExit(0 if args else 2)
    if args[0] == "--version":
        print(f"ditlab {__version__}")
        raise SystemExit(0)
    _dispatch(args[0], args[1:])


def _goes_nowhere() -> bool:
    """Return whether what is printed goes to the null device."""
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), os.stat(os.devnull))
    except (OSError, ValueError):  # no file behind it
        return False


def _flush() -> None:
    """Write out what was printed; raise OSError naming standard output where that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try again at exit and print a second message; let it write to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, "standard output") from None


def _one_line(error: OSError) -> str:
    """Return one line for an error of the system: path, reason and, where known, the remedy."""
    reason = " ".join((error.strerror or str(error) or type(error).__name__).split())
    remedy = _REMEDIES.get(error.errno or 0)
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{reason}" + (f"; {remedy}" if remedy else "")


def _dispatch(command: str, args: list[str]) -> None:
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise UserError(
            f"unknown command {command!r}{nearest(command, COMMANDS)}; commands are {known}"
        )
    import typer

    module, function, _ = COMMANDS[command]
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command()(_interruptible(getattr(importlib.import_module(module), function)))
    app(args, prog_name=f"ditlab {command}")


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with Ctrl-C answered in one line; typer alone would end silently."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except KeyboardInterrupt:
            print("stopped; run it again to resume", file=sys.stderr)
            raise SystemExit(130) from None
        except BrokenPipeError:
            raise SystemExit(0) from None  # the reader of the output left (`| head`): no error

    return run


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        "usage: ditlab COMMAND [ARGUMENTS]      (ditlab COMMAND -h for its options)",
        "",
        "An experiment and scaling-study harness for Diffusion Transformers.",
    ]
    for heading, group in GROUPS.items():
        lines += ["", f"{heading}:"]
        lines += [f"  {name:<{width}}  {text}" for name, (_, _, text) in group.items()]
    lines += [
        "",
        "STUDY is a YAML file, or the name of a study in the results.",
        "Commands on results take --results DIR (or DITLAB_RESULTS; default ./results);",
        "those that read take --json.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
