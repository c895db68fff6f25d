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
from dit_core.errors import DitlabError, nearest

# command: (module, function, one line of help). Order is the order of `ditlab --help`.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "plan": (
        "dit_core.cli.work.plan",
        "plan",
        "What a study would run, what it costs, what is done already.",
    ),
    "run": (
        "dit_core.cli.work.run",
        "run",
        "Carry a study out here; the same command goes on after a stop.",
    ),
    "sample": (
        "dit_core.cli.work.sample",
        "sample",
        "Draw a picture of a run's samples, classes by row.",
    ),
    "evaluate": (
        "dit_core.cli.work.evaluate",
        "evaluate",
        "Make missing evaluations of trained runs; never trains.",
    ),
    "reference": (
        "dit_core.cli.data.reference",
        "reference",
        "Make reference statistics from images, latents or .npz.",
    ),
    "calibrate": (
        "dit_core.cli.data.validate",
        "calibrate",
        "Hold the evaluator against a public sample batch.",
    ),
    "import": (
        "dit_core.cli.data.weights",
        "import_",
        "Make a run of weights trained elsewhere (DiT .pt, diffusers).",
    ),
    "export-weights": (
        "dit_core.cli.data.weights",
        "export",
        "Write a run's weights for the released code or diffusers.",
    ),
    "bench": (
        "dit_core.cli.work.bench",
        "bench",
        "Measure this machine: its speed, and what `plan` predicts by.",
    ),
    "encode": (
        "dit_core.cli.data.encode",
        "encode",
        "Turn a folder of images into shards of VAE latents.",
    ),
    "query": (
        "dit_core.cli.results.query",
        "query",
        "Ask the result tables, by SQL or by columns and conditions.",
    ),
    "diff": (
        "dit_core.cli.results.diff",
        "diff",
        "What differs between two runs, in science and in results.",
    ),
    "compare": (
        "dit_core.cli.results.compare",
        "compare",
        "A study's results by one column, held against the noise.",
    ),
    "gc": (
        "dit_core.cli.upkeep.gc",
        "gc",
        "Free space by policy; dry without --go; never a record.",
    ),
    "doctor": (
        "dit_core.cli.upkeep.doctor",
        "doctor",
        "Check every record; say what is torn and how to mend it.",
    ),
    "pack": ("dit_core.cli.upkeep.pack", "pack", "One archive of a study's records and report."),
    "unpack": (
        "dit_core.cli.upkeep.pack",
        "unpack",
        "Add the records of such an archive to the results.",
    ),
    "export": (
        "dit_core.cli.results.export",
        "export",
        "A study for TensorBoard, MLflow or Weights & Biases.",
    ),
    "figures": (
        "dit_core.cli.results.figures",
        "figures",
        "Draw the paper's figures and tables from records.",
    ),
    "fit": ("dit_core.cli.results.fit", "fit", "Fit the scaling laws of a study, with intervals."),
    "claims": ("dit_core.cli.results.claims", "claims", "Judge a study's claims, or the paper's."),
    "report": ("dit_core.cli.results.report", "report", "Write a study's report: one HTML page."),
    "submit": (
        "dit_core.cli.cluster.submit",
        "submit",
        "Submit what is missing of a study to Slurm; dry without --go.",
    ),
    "status": ("dit_core.cli.cluster.status", "status", "How every run of a study stands."),
    "watch": ("dit_core.cli.cluster.watch", "watch", "The same, live."),
    "logs": ("dit_core.cli.cluster.logs", "logs", "The log of a run's newest task."),
    "why": ("dit_core.cli.cluster.why", "why", "What happened to a run, attempt by attempt."),
    "cancel": (
        "dit_core.cli.cluster.cancel",
        "cancel",
        "Cancel the queued and running tasks of runs.",
    ),
    "retry": (
        "dit_core.cli.cluster.retry",
        "retry",
        "Let runs that failed or were cancelled be submitted again.",
    ),
    "clusters": (
        "dit_core.cli.cluster.clusters",
        "clusters",
        "Profiles, and one proposed from this cluster.",
    ),
}

_FREE = "make room (`ditlab gc` frees results by policy), then give the same command again"
_WRITE = "give a place you may write to (--results DIR, --out), or change its permissions"
_REMEDIES = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EROFS: _WRITE,
    errno.EACCES: _WRITE,
    errno.EPERM: _WRITE,
    errno.EISDIR: "a folder stands where a file is wanted; give the path of a file",
    errno.ENOTDIR: "a file stands where a folder is wanted; give the path of a folder",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
}
# A path of the wrong kind is the user's word, all else is the machine's state.
_WRONG_PATH = (IsADirectoryError, NotADirectoryError)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code: 0 ok, 1 some runs failed, 2 wrong input, 3
    environment.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    # a caller may have closed them (`>&-`): what is said there is said to nobody
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    nowhere = _goes_nowhere()
    try:
        try:
            _answer(args)
        finally:
            _flush()
    except SystemExit as left:
        if left.code == 1 and not nowhere and _goes_nowhere():
            raise SystemExit(
                0
            ) from None  # the reader left; rich then writes to nowhere and leaves with 1
        raise
    except DitlabError as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            print(f"error: {line}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError as error:
        left = (
            error.__context__
        )  # how the command ended, where only the rest of its words found no reader
        raise SystemExit(left.code if isinstance(left, SystemExit) else 0) from None
    except OSError as error:
        print(f"error: {_said(error)}", file=sys.stderr)
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
    """Write out what was printed; where that fails, say nothing more there, so that Python does not
    try again.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, "standard output") from None


def _said(error: OSError) -> str:
    """Return one line for what the system refused: the path, the reason and, where it is known, the
    remedy.
    """
    reason = " ".join((error.strerror or str(error) or type(error).__name__).split())
    remedy = _REMEDIES.get(error.errno or 0)
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{reason}" + (f"; {remedy}" if remedy else "")


def _dispatch(command: str, args: list[str]) -> None:
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(
            f"error: no command {command!r}{nearest(command, COMMANDS)}; commands are {known}",
            file=sys.stderr,
        )
        raise SystemExit(2)
    import typer

    module, function, _ = COMMANDS[command]
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(_interruptible(getattr(importlib.import_module(module), function)))
    app(args, prog_name=f"ditlab {command}")


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command, Ctrl-C answered in one line: typer would end without a word before `main`
    hears of it.
    """

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except KeyboardInterrupt:
            print("stopped; the same command goes on from here", file=sys.stderr)
            raise SystemExit(130) from None
        except BrokenPipeError:
            raise SystemExit(0) from None  # the reader of our output left (`| head`): not an error

    return run


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, (_, _, text) in COMMANDS.items())
    return (
        "usage: ditlab COMMAND [ARGUMENTS]      (ditlab COMMAND --help for its options)\n\n"
        "An experiment and scaling-study harness for Diffusion Transformers.\n\n"
        f"commands:\n{rows}\n\n"
        "Commands on results take --results DIR (or DITLAB_RESULTS; default ./results);\nthose "
        "that read take --json."
    )


if __name__ == "__main__":
    main()
