"""What guidance asks of a training: it subtracts a prediction made without any condition."""

from __future__ import annotations

from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Science


def misguided(science: Science, sampling: Sampling) -> str:
    """Return why a sampler must not guide this network; an empty string where it may."""
    why = "" if sampling.guidance == 1.0 else unguidable(science)
    return f"guidance {sampling.guidance:g}: {why}" if why else ""


def unguidable(science: Science) -> str:
    """Return why the network of `science` cannot be guided; an empty string where it can.

    Without dropout the null of a condition keeps its random start. The unconditional half drops all
    conditions at once, so each of them needs dropout.
    """
    data = science.data
    if data.classes == 1 and not data.conditions:
        return (
            f"data {data.name!r} have 1 class and no other condition, so that there is nothing to "
            "guide towards; set guidance: 1"
        )
    names = [f"{name}_dropout" for name in ("label", *data.conditions)]
    never = [name for name in names if getattr(science.train, name) == 0.0]
    if not never:
        return ""
    zero = " and ".join(f"train.{name}" for name in never)
    needed = " and ".join(f"{name} > 0" for name in never)
    return (
        f"{zero} {'is' if len(never) == 1 else 'are'} 0, so the null it needs is never trained; "
        f"`guidance` other than 1 needs {needed}"
    )
