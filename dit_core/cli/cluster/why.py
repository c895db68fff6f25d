"""`ditlab why STUDY RUN`: what happened to a run, attempt by attempt."""

from __future__ import annotations

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import RunsArgument, StudyArgument, runs_of
from dit_core.errors import UserError
from dit_core.records.paths import Store

_MOST = 20


def why(
    study: StudyArgument,
    words: RunsArgument = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what happened to runs, attempt by attempt.

    It names why each attempt ended, what Slurm reports, what is missing and where the logs are.
    """
    from slurm.standing.gather import look
    from slurm.standing.history import story, story_lines

    store = Store.at(results)
    name, runs = runs_of(study, store, words)
    if not words and len(runs) > _MOST:
        raise UserError(
            f"{len(runs)} runs: name one, or choose with a filter such as model.size=XL"
        )
    view = look(store, name, runs)
    told = [story(store, run, view.facts[run.run_id], view.book) for run in runs]
    if as_json:
        print_json(told)
        return
    for one in told:
        print("\n".join(story_lines(one)))
