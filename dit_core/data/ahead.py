"""The next batch made while the network works on this one. It holds no state: a batch is a function of its position."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor

from dit_core.data.load import Dataset
from dit_core.data.order import batch_indices

Batch = tuple[Tensor, Tensor]


class Ahead:
    """Batches of one rank, each one fetched on a thread while the one before it is being used."""

    def __init__(self, data: Dataset, seed: int, batch: int, rank: int = 0, ranks: int = 1, pin: bool = False) -> None:
        """Take the data set, the run's seed, the global batch and this rank's place in it; `pin` for CUDA copies.

        Raises ValueError where the batch does not divide by the ranks.
        """
        if batch % ranks:
            raise ValueError(f"batch {batch} does not divide by {ranks} ranks")
        self._data, self._seed, self._batch, self._rank, self._ranks = data, seed, batch, rank, ranks
        self._pin = pin
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="data")
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, images_seen: int) -> Batch:
        """Return this rank's x (B / ranks, C, H, W) and y (B / ranks,) of the global batch after `images_seen`.

        Any position may be asked for; the one that follows is ready soonest.
        """
        if self._next is not None and self._next[0] == images_seen:
            batch = self._next[1].result()
        else:
            batch = self._fetch(images_seen)
        after = images_seen + self._batch
        self._next = (after, self._thread.submit(self._fetch, after))
        return batch

    def close(self) -> None:
        """End the thread; what it was making is dropped."""
        self._thread.shutdown(cancel_futures=True)

    def _fetch(self, images_seen: int) -> Batch:
        x, y = self._data.batch(*self.positions(images_seen), self._seed)
        return (x.pin_memory(), y.pin_memory()) if self._pin else (x, y)

    def positions(self, images_seen: int) -> tuple[np.ndarray, np.ndarray]:
        """Return indices (B / ranks,) and stream positions (B / ranks,) of this rank's share of the global batch."""
        share = self._batch // self._ranks
        start = images_seen + self._rank * share
        return batch_indices(self._seed, start, share, len(self._data)), np.arange(start, start + share)
