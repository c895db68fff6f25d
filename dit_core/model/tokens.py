"""From samples to tokens and back: patches of images, blocks or groups of a vector's features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def patchify(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return (B, T, C ph pw) patches of shape (ph, pw), in reading order, of x (B, C, H, W)."""
    (_, C, H, W) = x.shape
    (ph, pw) = shape
    if shape == (1, 1):
        return x.flatten(2).transpose(1, 2)
    x = x.reshape(-1, C, H // ph, ph, W // pw, pw)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, (H // ph) * (W // pw), C * ph * pw)


def unpatchify(x: Tensor, shape: tuple[int, int], out: tuple[int, int, int]) -> Tensor:
    """Return samples (B, C, H, W), `out` being (C, H, W), of patches x (B, T, ph pw C)."""
    B = x.shape[0]
    (C, H, W) = out
    (ph, pw) = shape
    if shape == (1, 1):
        return x.transpose(1, 2).reshape(B, C, H, W)
    x = x.view(B, H // ph, W // pw, ph, pw, C).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(B, C, H, W)


class GroupsIn(nn.Module):
    """Each group of a vector's features to a token, by a linear layer of its own."""

    def __init__(self, sizes: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.linears = nn.ModuleList(nn.Linear(n, hidden) for n in self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, d) for vectors x (B, 1, 1, n)."""
        parts = torch.split(x.flatten(1), list(self.sizes), dim=1)
        return torch.stack(
            [linear(part) for linear, part in zip(self.linears, parts, strict=True)], dim=1
        )


class GroupsOut(nn.Module):
    """Each token to its group of features, by a linear layer of its own."""

    def __init__(self, sizes: Sequence[int], hidden: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.linears = nn.ModuleList(nn.Linear(hidden, n * channels) for n in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C_out, 1, n) for tokens x (B, T, d)."""
        parts = [
            linear(x[:, i]).view(len(x), self.channels, -1) for i, linear in enumerate(self.linears)
        ]
        return torch.cat(parts, dim=2)[:, :, None]
