"""The device a command works on: a word checked before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dit_core.errors import EnvironmentProblem, UserError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def device_for(name: str, where: str = "--device") -> str:
    """Return "cpu" or "cuda"; `where` says in messages who asked.

    Raises UserError for another word, and EnvironmentProblem where CUDA is asked for by name and
    there is none.
    """
    if name not in DEVICES:
        raise UserError(f"{where} {name!r}: allowed are {', '.join(DEVICES)}")
    if name == "cpu":
        return name
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise EnvironmentProblem(
            f"{where} cuda: PyTorch sees no CUDA device here; give cpu or auto"
        )
    return "cuda" if there else "cpu"


def device_of(name: str) -> torch.device:
    """Return the device an execution asks for: "auto" takes CUDA where there is one."""
    import torch

    cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")
