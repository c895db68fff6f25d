"""Numbers as messages show them: with the unit prefixes of the SI, with the noun they count."""

from __future__ import annotations

_PREFIXES = {1e21: "Z", 1e18: "E", 1e15: "P", 1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k"}


def si(value: float) -> str:
    """Return a number with three digits and a unit prefix: 675M, 1.21P."""
    for size, prefix in _PREFIXES.items():
        if value >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"


def counted(number: int, noun: str) -> str:
    """Return "1 run", "2 runs", "1,000 runs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
