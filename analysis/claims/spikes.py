"""What a training curve says in one number: spikes of the loss, and the loss at the end."""

from __future__ import annotations

import numpy as np
import pandas as pd

SMOOTH = 5
WINDOW = 25
HEIGHT = 8.0
FLOOR = 0.3


def loss_spikes(metrics: pd.DataFrame) -> pd.Series:
    """Return the number of loss spikes per run_id: rises of the smoothed loss far above its median.

    A spike is a mean over 5 rows that lies above the median of the 25 rows before them by more than
    30 % of that median and by more than 8 robust standard deviations of such a mean, estimated from
    those 25 rows; means on end count once. So a rise lasts, or one row of it is more than 2.5 times
    as high as usual: a row is a mean over few noise levels and few images, and swings by tens of
    percent at small batches. Rows without a finite loss are left out; runs with fewer than 50 rows
    are missing, not 0.
    """
    return metrics.groupby("run_id").apply(_spikes, include_groups=False).astype(float)


def _spikes(rows: pd.DataFrame) -> float:
    loss = rows.sort_values("images")["loss"].to_numpy(float)
    loss = loss[np.isfinite(loss)]
    if len(loss) < 2 * WINDOW:
        return float("nan")
    found = 0
    inside = False
    for i in range(WINDOW, len(loss) - SMOOTH + 1):
        before = loss[i - WINDOW : i]
        middle = float(np.median(before))
        spread = 1.4826 * float(np.median(np.abs(before - middle))) / SMOOTH**0.5
        high = float(np.mean(loss[i : i + SMOOTH])) > middle + max(
            HEIGHT * spread, FLOOR * abs(middle)
        )
        found += int(high and not inside)
        inside = high
    return float(found)


def final_loss(metrics: pd.DataFrame) -> pd.Series:
    """Return the mean loss over the last twentieth of each run_id's rows.

    Missing where one of those is not finite.
    """

    def last(rows: pd.DataFrame) -> float:
        loss = rows.sort_values("images")["loss"].to_numpy(float)[-max(1, len(rows) // 20) :]
        return float(np.mean(loss)) if np.isfinite(loss).all() else float("nan")

    return metrics.groupby("run_id").apply(last, include_groups=False).astype(float)
