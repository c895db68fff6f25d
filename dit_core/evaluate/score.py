"""Features and metrics of existing images, and reference statistics made from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dit_core.errors import DataError
from dit_core.evaluate.features.extractors import SPATIAL, Extractor
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.features.reference import Reference, check_moments
from dit_core.evaluate.metrics.intervals import Metric
from dit_core.evaluate.metrics.measure import measure
from dit_core.evaluate.samples.sources import Source, npz_header, npz_rows
from dit_core.study.catalogue.protocol import Protocol

Progress = Callable[[int, int], None]
BATCH = 64


def features_of(
    source: Source, extractor: Extractor, progress: Progress | None = None, batch: int = BATCH
) -> list[dict[str, Tensor]]:
    """Return the features of all images of a source, batch by batch."""
    batches = []
    done = 0
    for images in source.read(batch):
        batches.append(extractor(images))
        done += len(images)
        if progress is not None:
            progress(done, source.count)
    return batches


def score(
    protocol: Protocol,
    source: Source,
    extractor: Extractor,
    reference: Reference,
    progress: Progress | None = None,
    few: bool = False,
) -> dict[str, Metric]:
    """Return the protocol's metrics of the images of a source.

    Raises DataError, before anything is read, for fewer images than features unless `few` is set.
    """
    if source.count <= protocol.width and not few:
        raise DataError(
            f"{source.name}: {source.count:,} images give no covariance of {protocol.width} "
            "features; "
            f"more than {protocol.width} are needed"
        )
    labels = torch.arange(source.count) % 10
    return measure(protocol, features_of(source, extractor, progress), reference, labels)


def reference_from_images(
    name: str,
    source: Source,
    protocol: Protocol,
    extractor: Extractor,
    kept: int,
    progress: Progress | None = None,
) -> Reference:
    """Return the statistics of a source, with features of `kept` images, evenly spaced."""
    batches = features_of(source, extractor, progress)
    if source.count <= protocol.width:
        raise DataError(
            f"{source.name}: {source.count:,} images are too few for {protocol.width} features"
        )
    own = Moments.merged([Moments.of(batch[protocol.layer]) for batch in batches])
    rows = torch.from_numpy(
        np.unique(np.linspace(0, source.count - 1, min(kept, source.count)).astype(int))
    )
    features = torch.cat([batch[protocol.layer] for batch in batches])[rows]
    spatial = None
    if SPATIAL in extractor.layers:
        wide = Moments.merged([Moments.of(batch[SPATIAL]) for batch in batches])
        spatial = (wide.mean(), wide.covariance())
    facts = {"source": Path(source.name).name, "kept_features": len(features)}
    return Reference(name, "", own.count, own.mean(), own.covariance(), features, spatial, facts)


def reference_from_adm(
    name: str,
    path: Path,
    source: Source | None,
    protocol: Protocol,
    extractor: Extractor,
    progress: Progress | None = None,
) -> Reference:
    """Return the statistics of an ADM reference file, with features from its images.

    The stored sums are those of the whole training set, the images a sample for precision, recall
    and KID. float64 and float32 are both taken. Raises DataError naming array and shape where the
    file holds something else.
    """
    mean, covariance = (_array(path, key) for key in ("mu", "sigma"))
    check_moments(path, mean, covariance, protocol.width)
    spatial = None
    if SPATIAL in extractor.layers:
        spatial = (_array(path, "mu_s"), _array(path, "sigma_s"))
        check_moments(f"{path} (mu_s, sigma_s)", *spatial, width=2023)
    features = None
    if source is not None:
        features = torch.cat(
            [batch[protocol.layer] for batch in features_of(source, extractor, progress)]
        )
    facts: dict[str, Any] = {
        "source": path.name,
        "kept_features": 0 if features is None else len(features),
    }
    return Reference(name, "", None, mean, covariance, features, spatial, facts)


def _array(path: Path, key: str) -> Tensor:
    shape, dtype = npz_header(path, key)
    if dtype.kind != "f":
        raise DataError(f"{path}: {key} is {dtype}, wanted is a floating-point array")
    rows = list(npz_rows(path, key, max(1, shape[0])))
    return torch.from_numpy(np.concatenate(rows).astype(np.float64))
