"""The learning rate as a function of images seen."""

from __future__ import annotations

import math

from dit_core.study.science.science import Train


def learning_rate(train: Train, images_seen: int) -> float:
    """Return the rate of the step that starts at `images_seen`.

    Paper, section 4: constant 1e-4, no warm-up.
    """
    rate = train.lr
    if train.warmup_images:
        rate *= min(1.0, (images_seen + train.batch) / train.warmup_images)
    if train.schedule == "cosine":
        rate *= 0.5 * (1.0 + math.cos(math.pi * images_seen / train.images))
    return rate
