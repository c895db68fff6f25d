"""Which noise levels a sampler visits, in plain numbers, so that a plan can price it."""

from __future__ import annotations

from functools import lru_cache

from dit_core.errors import UserError
from dit_core.study.science.sampling import SAMPLERS_OF, Sampling
from dit_core.study.science.science import Ddpm, Flow


def respaced(timesteps: int, steps: int) -> tuple[int, ...]:
    """Return `steps` of the timesteps 0..timesteps - 1, ascending and evenly strided.

    First and last are included. The rule of Nichol & Dhariwal 2021, section 4: the stride is a
    fraction and each position is rounded. A single step is the last, noisiest timestep. Raises
    UserError for more steps than timesteps.
    """
    if not 1 <= steps <= timesteps:
        raise UserError(
            f"{steps} sampling steps out of {timesteps} timesteps: allowed are 1 to {timesteps}"
        )
    if steps == 1:
        return (timesteps - 1,)
    stride = (timesteps - 1) / (steps - 1)
    position = 0.0
    visited = []
    for _ in range(steps):
        visited.append(round(position))
        position += stride
    return tuple(visited)


def check_sampler(objective: Ddpm | Flow, sampling: Sampling) -> None:
    """Raise UserError where the sampler does not fit the objective or has too many steps."""
    allowed = SAMPLERS_OF[objective.name]
    if sampling.sampler not in allowed:
        word = f"sampler {sampling.sampler!r} does not go with objective {objective.name!r}"
        raise UserError(f"{word}; these do: {', '.join(allowed)}")
    if isinstance(objective, Ddpm):
        timesteps_of(objective, sampling)


def levels(objective: Ddpm | Flow, sampling: Sampling) -> tuple[float, ...]:
    """Return the noise level of every forward pass in order, from 1 (pure noise) towards 0 (clean).

    DDPM's timestep t is the level t / (T - 1); a flow's time is its level. Heun evaluates twice per
    step but the last.
    """
    check_sampler(objective, sampling)
    n = sampling.steps
    if isinstance(objective, Ddpm):
        last = max(objective.timesteps - 1, 1)
        return tuple(t / last for t in reversed(timesteps_of(objective, sampling)))
    times = [1.0 - i / n for i in range(n)]
    if sampling.sampler == "euler":
        return tuple(times)
    return tuple(
        level for i, t in enumerate(times) for level in ((t, times[i + 1]) if i + 1 < n else (t,))
    )


def timesteps_of(objective: Ddpm, sampling: Sampling) -> tuple[int, ...]:
    """Return the timesteps of a DDPM sampler, ascending."""
    if sampling.sampler == "dpm-solver++":
        return _dpm_timesteps(objective.timesteps, sampling.steps)
    return respaced(objective.timesteps, sampling.steps)


def _dpm_timesteps(timesteps: int, steps: int) -> tuple[int, ...]:
    # steps + 1 evenly spaced points from 0 to T - 1, of which the solver visits all but the first
    # (Lu et al. 2022).
    if not 1 <= steps < max(timesteps, 2):
        raise UserError(
            f"{steps} steps of dpm-solver++ out of {timesteps} timesteps: allowed are 1 to "
            f"{timesteps - 1}"
        )
    # In this order of operations: numpy's linspace, by which diffusers finds the points, multiplies
    # by the stride, and halves are rounded to the same side only after the same rounding errors.
    stride = (timesteps - 1) / steps
    return tuple(round(i * stride) for i in range(1, steps + 1))


def is_guided(sampling: Sampling, level: float) -> bool:
    """Return whether the pass at noise level `level` is a guided one."""
    return sampling.guidance != 1.0 and sampling.guidance_start <= level <= sampling.guidance_end


@lru_cache(maxsize=4096)
def passes(objective: Ddpm | Flow, sampling: Sampling, channels: int) -> int:
    """Return the single-sample forward passes of one sample: a guided step is two.

    Guidance 0 on all channels is the unconditional model alone, one pass.
    """
    pair = 1 if is_unconditional(sampling, channels) else 2
    return sum(pair if is_guided(sampling, level) else 1 for level in levels(objective, sampling))


def is_unconditional(sampling: Sampling, channels: int) -> bool:
    """Return whether a guided pass needs the unconditional half only."""
    return sampling.guidance == 0.0 and (sampling.guidance_channels == "all" or channels <= 3)
