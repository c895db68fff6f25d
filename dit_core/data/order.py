"""The order of training samples and their augmentation, as functions of a position in the stream.

Position k of the stream is the k-th image the run sees. It belongs to epoch k // n, and the epoch's
permutation is a function of (seed, epoch) alone. So nothing of a loader is ever saved: the number
of images seen is the whole state, whatever the batch size, the number of processes or the moment at
which a run was stopped.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# What a stream of random bits is for: the second word of every Philox key here, so that no two uses
# share bits.
ORDER = 0x6F72646572
POSTERIOR = 0x706F7374
FLIP = 0x666C6970
HELD_OUT = 0x68656C64


def batch_indices(seed: int, images_seen: int, batch: int, n: int) -> np.ndarray:
    """Return the data set indices (batch,) int64 of stream positions images_seen ..

    images_seen + batch - 1.

    `n` is the number of samples of the data set. A batch may cross the border of an epoch, even
    several. The result may be a read-only view. Raises ValueError where n or batch is not positive.
    """
    if n <= 0 or batch <= 0 or images_seen < 0:
        raise ValueError(
            f"order of n {n}, batch {batch}, images_seen {images_seen}: n and batch must be "
            "positive"
        )
    epoch, start = divmod(images_seen, n)
    if start + batch <= n:
        return permutation(seed, epoch, n)[start : start + batch]
    parts = []
    left = batch
    while left:
        part = permutation(seed, epoch, n)[start : start + left]
        parts.append(part)
        left = left - len(part)
        epoch = epoch + 1
        start = 0
    return np.concatenate(parts)


@lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """Return the order (n,) int64 of one epoch, read-only; the last two are kept.

    A stable sort of raw Philox words: unlike numpy's `permutation`, whose algorithm may change
    between releases, the words are fixed by the published generator (Salmon et al. 2011).
    """
    bits = np.random.Philox(key=[seed, ORDER], counter=[0, 0, epoch, 0])
    order = np.argsort(bits.random_raw(n), kind="stable")
    order.flags.writeable = False
    return order


def flips(seed: int, stream: np.ndarray) -> np.ndarray:
    """Return for each stream position whether the sample is flipped: a fair coin.

    splitmix64 (Steele et al. 2014) of (seed, position): vectorised over any positions, a few
    microseconds a batch.
    """
    with np.errstate(over="ignore"):
        start = _splitmix(np.full(1, seed ^ FLIP, dtype=np.uint64))
        bits = _splitmix(
            start + np.asarray(stream, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        )
    return (bits >> np.uint64(63)).astype(bool)


def normals(seed: int, stream: np.ndarray, size: int) -> np.ndarray:
    """Return standard normals (len(stream), size); row i depends on (seed, stream[i]) alone."""
    out = np.empty((len(stream), size), dtype=np.float32)
    for row, position in zip(out, stream, strict=True):
        bits = np.random.Philox(key=[seed, POSTERIOR], counter=[0, 0, int(position), 0])
        np.random.Generator(bits).standard_normal(size, dtype=np.float32, out=row)
    return out


def _splitmix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed
