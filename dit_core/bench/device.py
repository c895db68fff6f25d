"""What this machine is called in a calibration."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def device_name() -> str:
    """Return the name of the GPU, else that of the processor and its number of usable cores.

    torch is not loaded, so that `ditlab plan` can ask.
    """
    return _gpu() or f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def _gpu() -> str | None:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(result.stdout.splitlines()), None)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
