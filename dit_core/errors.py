"""The errors a user may see: one readable line with the remedy and an exit code, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DitlabError(Exception):
    """Base of all errors that the command line prints as one line."""

    exit_code = 1


class UserError(DitlabError):
    """The user asked for something that cannot be: wrong study file, wrong option, wrong value."""

    exit_code = 2


class FieldError(ValueError):
    """Values that do not go together; `fields` names the fields they are written in.

    Raised by the models of a study, which pydantic reports as an error of the whole model.
    """

    def __init__(self, text: str, *fields: str) -> None:
        self.fields = fields
        super().__init__(text)


class StudyError(UserError):
    """A study file is wrong.

    Holds every problem found, each naming file, line, key path and remedy.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class RecordError(DitlabError):
    """A record on disk is torn, missing or contradicts another; names the file."""


class RunConflict(RecordError):
    """A run folder holds another science than the one about to be written there."""


class EnvironmentProblem(DitlabError):
    """This machine lacks something: a file, a package, disk space, a scheduler."""

    exit_code = 3


class DataError(UserError):
    """A data set does not hold what the study says; names the array, file, row or index."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the allowed word nearest to `word`, or an empty string.

    The same word in other letters, `xs` for `XS`, is nearer than any other.
    """
    words = [str(a) for a in allowed]
    same = [a for a in words if a.lower() == str(word).lower()]
    hits = same or difflib.get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f", did you mean {hits[0]!r}?" if hits else ""
