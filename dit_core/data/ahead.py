"""The next batch made while the network works on this one.

Nothing is kept of it: a batch is a function of position.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor

from dit_core.data.load import Dataset
from dit_core.data.order import batch_indices
from dit_core.model.conditions import Given, pinned


class Ahead:
    """A data set that fetches what comes next on a thread; it gives exactly what `data` gives."""

    def __init__(self, data: Dataset, batch: int, pin: bool = False) -> None:
        """Take the data set and the global batch: a rank's positions advance by it each step.

        `pin` puts the tensors into page-locked memory, from which a copy to a GPU does not block.
        """
        self._data = data
        self._batch = batch
        self._pin = pin
        self.labels = data.labels
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="data")
        self._next: tuple[int, np.ndarray, int, Future[tuple[Tensor, Given]]] | None = None
        self.hits = self.misses = 0

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._data)

    def batch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Given]:
        """Return x and y as `Dataset.batch` does; `stream` must be consecutive.

        x is (B, C, H, W) float32.
        """
        start = int(stream[0])
        expected = self._next
        if (
            expected
            and expected[0] == start
            and expected[2] == seed
            and np.array_equal(expected[1], indices)
        ):
            self.hits += 1
            batch = expected[3].result()
        else:
            self.misses += 1
            batch = self._fetch(indices, stream, seed)
        after = start + self._batch
        wanted = batch_indices(seed, start + self._batch, len(stream), len(self))
        fetched = self._thread.submit(
            self._fetch, wanted, np.arange(after, after + len(stream)), seed
        )
        self._next = (after, wanted, seed, fetched)
        return batch

    def close(self) -> None:
        """End the thread; what it was making is dropped."""
        self._thread.shutdown(cancel_futures=True)

    def _fetch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Given]:
        x, y = self._data.batch(indices, stream, seed)
        return (x.pin_memory(), pinned(y)) if self._pin else (x, y)
