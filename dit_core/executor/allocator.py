"""How training processes take memory, and how running out of it is recognised."""

from __future__ import annotations

import os

# Activations are freed and taken again at every step. By default glibc gives large ones back to the
# kernel each time and pays a page fault per 4 KiB to have them again: 5,400 faults and 4 % of a
# step of the largest digits model. These settings keep what was taken once and ask for huge pages.
# Other C libraries ignore the variable.
_TUNABLES = {
    "glibc.malloc.hugetlb": "1",
    "glibc.malloc.mmap_threshold": str(1 << 30),
    "glibc.malloc.trim_threshold": str(1 << 32),
}


def keeping_memory(environment: dict[str, str]) -> dict[str, str]:
    """Return `environment` for a process that trains and keeps its memory; its settings win."""
    own = environment.get("GLIBC_TUNABLES", "")
    named = {part.partition("=")[0] for part in own.split(":")}
    ours = [f"{name}={value}" for name, value in _TUNABLES.items() if name not in named]
    return environment | {"GLIBC_TUNABLES": ":".join([*([own] if own else []), *ours])}


def environment_to_train(threads: int) -> dict[str, str]:
    """Return the environment of a new process that trains with `threads` threads."""
    return keeping_memory(dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONUNBUFFERED="1"))


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that a device or the machine has no memory left.

    Torch has a class of its own for GPUs; its allocator of main memory and the GPU's libraries say
    so in their messages only.
    """
    import torch

    words = ("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error) for word in words
    )
