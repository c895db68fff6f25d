"""All laws of a study at once: correlations, line, power law, patch-aware law, size x tokens law,
isoFLOP minima, surface; how far each misses the data, and which predicts a left-out model best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.laws.correlation import SEED, Correlation, correlate
from analysis.laws.data.estimate import Estimate
from analysis.laws.isoflop import Curve, IsoFlop, isoflop_of
from analysis.laws.leave_one_out import LeftOut, Models, leave_one_out
from analysis.laws.line import Line, ols
from analysis.laws.misfit import Labels, Misfit, misfit_of
from analysis.laws.one_training import need_one_training
from analysis.laws.patch_law import PatchLaw, design, patch_law
from analysis.laws.power_law import PowerLaw, power_law
from analysis.laws.size_tokens import SizeTokens, size_tokens
from analysis.laws.surface import Surface, surface
from analysis.noise.model import Prior, Training
from analysis.noise.model import fit as fit_noise
from analysis.select.configuration import config_key
from analysis.select.points import Points, average_seeds, final_points
from analysis.select.source import Source

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Laws:
    """The fits of one study; each holds its own status, n and interval."""

    metric: str
    footer: str
    gmacs: tuple[float, float]
    """Smallest and largest forward Gmacs of the data."""
    pearson: Correlation
    pearson_params: Correlation
    pearson_shared: Correlation
    """As `pearson`, its interval widened for deviations that a size or a patch shares."""
    spearman: Correlation
    line: Line
    power: PowerLaw
    patch: PatchLaw
    size_tokens: SizeTokens
    isoflop: IsoFlop
    surface: Surface
    misfits: dict[str, Misfit]
    """By law: how far it misses the data that it was fitted to."""
    left_out: tuple[LeftOut, ...]
    """By law, the best first: how far it misses models that it was not fitted to."""

    @property
    def disagreement(self) -> str:
        """Say where two ways of finding the best size differ beyond their intervals, else ""."""
        parabola = self.isoflop.exponent
        if not parabola.apart_from(self.surface.allocation):
            return ""
        return (
            f"the isoFLOP minima and the surface disagree beyond their intervals: best size grows "
            f"with compute to the power {parabola.words()} against "
            f"{self.surface.allocation.words()}"
        )

    def plain(self) -> dict[str, Any]:
        """Return all fits as plain values for JSON."""
        return {**_plain(asdict(self)), "disagreement": self.disagreement}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in ("data", "theta")}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def fit_all(source: Source, mix: bool = False) -> Laws:
    """Return every law the results of `source` allow; the others have a status that says why.

    Raises UserError where nothing is measured, two protocols would be mixed, or the runs differ in
    length or learning rate, which no law over compute knows of.
    """
    rows = source.results
    curves = source.results
    if source.is_published:
        curves = rows[
            rows["table"].isin(("figure6", "figure9")) & (rows["conditioning"] == "adaln-zero")
        ]
        rows = rows[rows["table"] == "paper_scaling12"]
    points = final_points(rows, source.metric, mix=mix)
    need_one_training(points.frame)
    over = final_points(curves, source.metric, mix=mix, every=True)
    return _laws(points, over)


def _laws(points: Points, over: Points) -> Laws:
    frame = points.frame
    metric = points.metric
    groups = config_key(frame).to_numpy(str)
    labels = labels_of(frame, metric)
    means = average_seeds(frame, metric)
    models = _models(means, metric)
    every = [label[np.unique(groups, return_index=True)[1]] for label in _clusters(frame)]
    at_points = [dict(zip(np.unique(groups), e, strict=True)) for e in every]
    clusters = [[names[g] for g in groups] for names in at_points]

    def corr(x: str, **more: Any) -> Correlation:
        values = np.log10(frame[x].to_numpy(float))
        rng = np.random.default_rng(SEED)
        return correlate(values, frame[metric].to_numpy(float), rng, groups=groups, **more)

    line = ols(np.log10(models.gmacs), models.y, clusters=labels.clusters)
    power = power_law(models.gmacs, models.y, clusters=labels.clusters)
    patch = patch_law(models.gmacs, models.patch, models.y, clusters=labels.clusters)
    sized = size_tokens(models.params, models.tokens, models.y)
    is_positive = bool((models.y > 0).all())
    return Laws(
        metric,
        points.footer,
        (float(models.gmacs.min()), float(models.gmacs.max())),
        corr("fwd_gmacs"),
        corr("params"),
        corr("fwd_gmacs", clusters=clusters),
        corr("fwd_gmacs", method="spearman"),
        line,
        power,
        patch,
        sized,
        _isoflop(over),
        _surface(over),
        _misfits(models, labels, line, power, patch, sized),
        leave_one_out(models) if is_positive else (),
    )


def _models(means: pd.DataFrame, metric: str) -> Models:
    def column(name: str) -> Array:
        values = means[name] if name in means else pd.Series(np.nan, index=means.index)
        return np.asarray(values.to_numpy(float))

    return Models(*(column(c) for c in ("fwd_gmacs", "params", "tokens", "patch", metric)))


def _clusters(frame: pd.DataFrame) -> list[NDArray[np.str_]]:
    """Return each row's size and patch; a row without one has its own."""
    own = pd.Series([f"row {i}" for i in range(len(frame))], index=frame.index)
    columns = [frame.get(c, own) for c in ("model_size", "patch")]
    return [column.map(_word).where(column.notna(), own).to_numpy(str) for column in columns]


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def labels_of(frame: pd.DataFrame, metric: str) -> Labels:
    """Return size, patch and noise of the configurations of a study, in their order."""
    configurations: dict[str, list[Training]] = {}
    first: list[int] = []
    is_log = bool((frame[metric] > 0).all())
    keys = config_key(frame).tolist()
    for at, (key, value) in enumerate(zip(keys, frame[metric].astype(float), strict=True)):
        if key not in configurations:
            first.append(at)
        configurations.setdefault(key, []).append(Training(float(np.log(value)) if is_log else 0.0))
    noise = fit_noise(configurations, Prior(0.05))
    seeds = len(keys) / len(configurations)
    sd = noise.pooled_sd / seeds**0.5 if noise.repeats and is_log else None
    size, patch = (label[first] for label in _clusters(frame))
    return Labels(size, patch, sd)


def _misfits(
    models: Models, labels: Labels, line: Line, power: PowerLaw, patch: PatchLaw, sized: SizeTokens
) -> dict[str, Misfit]:
    fitted: dict[str, tuple[int, bool, Callable[[], Array]]] = {}
    if line.slope is not None:
        fitted["line over log G"] = (2, False, lambda: line.at(np.log10(models.gmacs)))
    if power.offset.value is not None:
        fitted["power law"] = (3, True, lambda: power.at(models.gmacs))
    if patch.coefficients:
        lg = np.log(models.gmacs)
        beta = np.linalg.pinv(design(lg, lg, 2)) @ np.log(models.y)
        fitted["pooled log line"] = (2, True, lambda: np.exp(design(lg, lg, 2) @ beta))
        fitted["patch-aware law"] = (4, True, lambda: patch.at(models.gmacs, models.patch))
    if sized.coefficients:
        pairs = list(zip(models.params, models.tokens, strict=True))
        # Two of the six numbers are all but given by their priors.
        fitted["size x tokens law"] = (4, True, lambda: sized.fitted(pairs))
    found = {
        name: misfit_of(models.y, law(), terms, labels, is_relative)
        for name, (terms, is_relative, law) in fitted.items()
    }
    return {name: one for name, one in found.items() if one is not None}


def _smallest_patch(points: Points) -> pd.DataFrame:
    rows = points.frame
    return rows[rows["patch"] == rows["patch"].min()]


def _isoflop(points: Points) -> IsoFlop:
    """Return the minima over parameters for the smallest patch; seeds of a size are one curve."""
    curves = []
    for params, group in _smallest_patch(points).groupby("params"):
        means = group.groupby("train_flops")[points.metric].mean()
        compute = means.index.to_numpy(float)
        values = means.to_numpy(float)
        good = np.isfinite(values) & (values > 0) & (compute > 0)
        if good.any():
            curves.append(Curve(float(str(params)), compute[good], values[good]))
    return isoflop_of(curves)


def _surface(points: Points) -> Surface:
    """Return L(N, D) at the smallest patch, a configuration's seeds averaged at each D."""
    rows = _smallest_patch(points)
    return surface(
        rows["params"],
        rows["images_seen"],
        rows[points.metric],
        np.random.default_rng(SEED),
        trainings=config_key(rows).to_numpy(str),
    )


def interval_of(one: Correlation) -> Estimate:
    """Return a correlation as an estimate."""
    return Estimate(one.r, one.low, one.high)
