"""The text of a batch script as submitit writes it: the one place that calls its private API.

submitit offers no public way to render a script around a command of one's own: `submit` pickles a
function and calls sbatch at once. `_make_submission_file_text` renders the same script without
either. A test checks that the installed submitit still has it with these arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import submitit


def batch_text(logs: Path, parameters: Mapping[str, object], tasks: int, command: str) -> str:
    """Return the script of an array of `tasks` tasks that each run `command`; logs go to `logs`."""
    executor = submitit.SlurmExecutor(folder=logs)
    executor.update_parameters(**parameters)
    executor.parameters["map_count"] = tasks
    return str(executor._make_submission_file_text(command, str(parameters["job_name"])))
