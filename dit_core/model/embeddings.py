"""Embeddings of position, time and conditions (paper section 3.2; tables as in MAE and ADM)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WAVES = 256  # width of the sinusoidal time embedding, as in ADM


def sincos_1d(positions: Tensor, dim: int) -> Tensor:
    """Return the (n, dim) table of `positions` (n,): dim / 2 sines, dim / 2 cosines, float64."""
    omega = 10000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim / 2))
    angles = torch.outer(positions.double(), omega)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def sincos_2d(rows: int, columns: int, dim: int) -> Tensor:
    """Return the (rows * columns, dim) table of a grid in reading order.

    The first half of the channels encodes the column, the second half the row: the order of the
    released weights. `dim` is a multiple of 4.
    """
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.cat([sincos_1d(x.flatten(), dim // 2), sincos_1d(y.flatten(), dim // 2)], dim=1)


def fixed_positions(kind: str, grid: tuple[int, int], d: int) -> Tensor:
    """Return the fixed table (rows * columns, d), float32 on the CPU, of the embedding `kind`."""
    rows, columns = grid
    with torch.device("cpu"):
        if kind == "none":
            return torch.zeros(rows * columns, d)
        if kind == "sincos-2d":
            return sincos_2d(rows, columns, d).float()
        table = sincos_1d(torch.arange(rows * columns), d).float()
        return F.pad(table, (0, d - table.shape[1]))


class TimestepEmbedder(nn.Module):
    """Time to a vector: cosines and sines of 128 frequencies, then a two-layer MLP with SiLU.

    `kind` "released" spaces the frequencies as the paper's code does; "diffusers" as its port in
    diffusers does, whose lowest frequency is exactly 1/10000: the same weights then give other
    outputs. "sit" divides the released ones by 1000, as SiT embeds times from 0 to 1 themselves.
    """

    frequencies: Tensor

    def __init__(self, hidden: int, kind: str = "released") -> None:
        super().__init__()
        self.kind = kind
        self.fc1 = nn.Linear(WAVES, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.register_buffer("frequencies", torch.empty(WAVES // 2), persistent=False)

    def reset_buffers(self) -> None:
        """Fill the table of frequencies: 10000^(-i/128) for i = 0..127, or as `kind` has it."""
        half = WAVES // 2
        intervals = half - 1 if self.kind == "diffusers" else half
        table = torch.exp(
            -math.log(10000.0) * torch.arange(half, dtype=torch.float32, device="cpu") / intervals
        )
        self.frequencies.copy_(table / 1000 if self.kind == "sit" else table)

    def forward(self, t: Tensor) -> Tensor:
        """Return (B, d) for times t (B,), in units of training timesteps."""
        angles = t.to(self.frequencies.dtype)[:, None] * self.frequencies  # (B, 128)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)  #            (B, 256)
        out: Tensor = self.fc2(F.silu(self.fc1(waves)))  #                   (B, d)
        return out


class VectorEmbedder(nn.Module):
    """A standardised continuous condition to a vector, by an MLP; NaN to a learned null."""

    def __init__(self, parameters: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(parameters, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.null = nn.Parameter(torch.empty(hidden))

    def forward(self, v: Tensor) -> Tensor:
        """Return (B, d) for parameters v (B, n); a row with a NaN is "not given"."""
        off = v.isnan().any(1, keepdim=True)  #               (B, 1)
        out = self.fc2(F.silu(self.fc1(v.nan_to_num(0.0))))  # (B, d)
        return torch.where(off, self.null, out)


class SequenceEmbedder(nn.Module):
    """A sequence to tokens of the model's width; where not given, all are a learned null."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, hidden)
        self.null = nn.Parameter(torch.empty(hidden))

    def forward(self, tokens: Tensor, off: Tensor) -> Tensor:
        """Return (B, M, d) for tokens (B, M, D); those of samples in off (B,) are "not given"."""
        out = self.proj(tokens.nan_to_num(0.0))  #             (B, M, d)
        return torch.where(off[:, None, None], self.null, out)
