"""`ditlab retry STUDY RUN…`: let failed, cancelled or stuck runs be submitted again."""

from __future__ import annotations

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import RunsArgument, StudyArgument, runs_of
from dit_core.records.paths import Store


def retry(
    study: StudyArgument,
    words: RunsArgument = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the next `ditlab submit --go` or `ditlab run` take up failed and cancelled runs.

    Without runs or a filter, this applies to all that failed or were cancelled. Checkpoints stay:
    the runs resume from there.
    """
    from slurm.standing.gather import look
    from slurm.submission.actions import retry_runs

    store = Store.at(results)
    name, runs = runs_of(study, store, words)
    meant = retry_runs(store, runs, look(store, name, runs))
    if as_json:
        print_json({"runs": meant})
        return
    print(
        f"{len(meant)} runs will be resumed by `ditlab submit --go`: "
        f"{', '.join(meant) or 'none failed'}"
    )
