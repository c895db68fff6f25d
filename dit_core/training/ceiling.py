"""The rate of matrix products that a device reaches: the denominator of MFU."""

from __future__ import annotations

import time

import torch

_SIDES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}


def matrix_ceiling(device: torch.device, precision: str, seconds: float = 1.0) -> float:
    """Return the highest FLOP/s of square matrix products over a few sizes.

    The sizes share `seconds`. float32 on a GPU is measured with TF32 where that is allowed, as in
    training.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    sides = _SIDES[device.type]
    return max(_rate(side, device, dtype, seconds / len(sides)) for side in sides)


def _rate(side: int, device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)
    best = float("inf")
    end = time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        # Several products at a time hide the launch latency of a GPU; the fastest of many timings
        # is what the machine can do.
        count = 10 if device.type == "cuda" else 1
        begin = _now(device)
        for _ in range(count):
            torch.mm(a, b, out=out)
        best = min(best, (_now(device) - begin) / count)
    return 2.0 * side**3 / best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
