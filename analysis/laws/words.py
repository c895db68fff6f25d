"""The fits in sentences, every number out of a fit object; one without numbers says its status."""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis.laws.all_laws import Laws
from analysis.laws.data.estimate import HeldOut
from analysis.laws.misfit import MISFIT


def answer(laws: Laws) -> list[str]:
    """Return the answer in sentences."""
    said = [
        *_correlations(laws),
        *_line(laws),
        *_power(laws),
        *_held_out("The patch-aware law", laws.patch.held_out, laws.patch.status),
        *_held_out("The size x tokens law", laws.size_tokens.held_out, laws.size_tokens.status),
        *_best(laws),
        *_isoflop(laws),
        *_surface(laws),
        *misfits(laws),
    ]
    return [s.replace(" -", " \N{MINUS SIGN}").replace("(-", "(\N{MINUS SIGN}") for s in said]


def _correlations(laws: Laws) -> Iterator[str]:
    yield f"{laws.metric} and forward Gflops (log): {laws.pearson.words()}."
    shared = laws.pearson_shared
    if shared.low is not None and shared.high is not None and shared.low != laws.pearson.low:
        yield (
            "If models of one size or one patch deviate together, that interval is "
            f"{shared.low:.2f} to {shared.high:.2f}."
        )
    if laws.pearson_params.r is not None:
        yield f"With the number of parameters instead: {laws.pearson_params.words()}."


def _line(laws: Laws) -> Iterator[str]:
    line = laws.line
    if line.slope is None or line.intercept is None:
        return
    low, high = laws.gmacs
    middle = (low * high) ** 0.5
    verb = "falls" if line.slope < 0 else "rises"
    at = line.intercept + line.slope * math.log10(middle)
    yield (
        f"For every tenfold of forward compute {laws.metric} {verb} by {abs(line.slope):.2f} "
        f"(interval of the slope {line.slope_low:.2f} to {line.slope_high:.2f}); the line is at "
        f"{at:.2f} at {middle:.3g} Gflops, the middle of {low:.3g} to {high:.3g}."
    )


def _power(laws: Laws) -> Iterator[str]:
    power = laws.power
    if power.offset.value is None:
        yield f"Power law with offset: {power.status}."
        return
    flags = f" ({'; '.join(power.flags)})" if power.flags else ""
    yield (
        f"As a power law with offset: exponent {power.exponent.words()}, offset "
        f"{power.offset.words()}{flags}."
    )
    yield from _held_out("The power law", power.held_out, power.status)


def _held_out(law: str, held: HeldOut | None, status: str) -> Iterator[str]:
    if status != "ok" and held is None:
        yield f"{law.removeprefix('The ').capitalize()}: {status}."
    if held is None or held.predicted is None or held.error is None:
        return
    inside = "inside" if held.inside else "outside"
    span = "" if held.low is None else f" ({held.low:.3g} to {held.high:.3g}: {inside})"
    far = "" if held.beyond is None or held.beyond <= 1 else f", {held.beyond:.2g} times beyond"
    yield (
        f"{law}, fitted without the largest model{far}, predicts {held.predicted:.3g}{span} where "
        f"{held.actual:.4g} was measured: an error of {held.error:+.0%}."
    )


def _best(laws: Laws) -> Iterator[str]:
    known = [one for one in laws.left_out if one.rms is not None]
    if len(known) < 2 or known[0].rms is None:
        return
    rest = ", ".join(f"{one.law} {one.rms:.1%}" for one in known[1:] if one.rms is not None)
    yield (
        f"Each model predicted from the others, the {known[0].law} errs least: {known[0].rms:.1%} "
        f"rms ({rest})."
    )


def _isoflop(laws: Laws) -> Iterator[str]:
    iso = laws.isoflop
    tail = f"({iso.inside} of {len(iso.minima)} budgets have their minimum inside the sizes tried)"
    flags = "".join(f"; {flag}" for flag in iso.flags)
    if iso.exponent.value is None:
        yield f"isoFLOP minima: {iso.status} {tail}."
        return
    yield (
        f"The best number of parameters grows with training compute to the power "
        f"{iso.exponent.words()}, from {iso.n} sizes {tail}{flags}."
    )


def _surface(laws: Laws) -> Iterator[str]:
    found = laws.surface
    if found.alpha.value is None:
        yield f"Loss surface over parameters and images: {found.status}."
    else:
        yield (
            f"Loss surface: exponents {found.alpha.words()} of parameters and "
            f"{found.beta.words()} of images seen."
        )
        yield from _held_out("The surface", found.held_out, found.status)
    if laws.disagreement:
        yield f"Careful: {laws.disagreement}."


def misfits(laws: Laws) -> Iterator[str]:
    """Yield one sentence for each law: how far it misses its own data, and where."""
    for name, one in laws.misfits.items():
        seen = f", more than {MISFIT:g} times the noise: not of this form" if one.is_seen else ""
        yield f"Lack of fit, {name}: {one.words()}{seen}."
    if laws.misfits and all(one.noise_sd is None for one in laws.misfits.values()):
        yield "No configuration was repeated: how much of that is noise is not known."
