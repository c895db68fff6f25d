"""The layers of every block: self-attention, cross-attention and the feed-forward layer."""

from __future__ import annotations

from math import pi, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# keys: where bf16 attention on a CPU is quicker as two products than fused (measured for 64 and
# 256)
SHORT = 128


def head_norm(width: int) -> nn.LayerNorm:
    """Return the LayerNorm over one head's queries or keys: scale, no shift (Dehghani 2023)."""
    return nn.LayerNorm(width, eps=1e-6, bias=False)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return softmax(q k^T / sqrt(e)) v (B, h, T, e), in v's type.

    q is (B, h, T, e), k and v are (B, h, S, e). Keys where `mask` (broadcast to (B, h, T, S)) is
    False are not seen. The fused kernel, but for bf16 on CPUs: there its backward pass is slow, and
    up to `SHORT` keys two plain products take half the time; beyond, float32 does.
    """
    if v.device.type != "cpu" or v.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, mask)
    if mask is None and k.shape[-2] <= SHORT:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)  #       (B, h, T, S)
        out: Tensor = scores.float().softmax(-1).to(v.dtype) @ v
        return out
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask).to(v.dtype)


def gelu(x: Tensor) -> Tensor:
    """Return GELU in its tanh form (Hendrycks & Gimpel 2016).

    x (1 + tanh u) / 2 = x sigmoid(2u), u cubic in x. On CPUs the compiler makes the sigmoid of one
    exponential, in a third of its tanh's time.
    """
    if not torch.compiler.is_compiling() or x.device.type != "cpu":
        return F.gelu(x, approximate="tanh")
    z = x.float()
    return (z * torch.sigmoid(2 * sqrt(2 / pi) * (z + 0.044715 * z**3))).to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention: one projection to q, k and v, fused attention, one projection."""

    def __init__(self, hidden: int, heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)
        self.q_norm = head_norm(hidden // heads) if qk_norm else None
        self.k_norm = head_norm(hidden // heads) if qk_norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d)."""
        B, T, d = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.heads, d // self.heads)  # (B, T, 3, h, d/h)
        q, k, v = qkv.transpose(1, 3).unbind(2)  #                      3 x (B, h, T, d/h)
        if self.q_norm is not None and self.k_norm is not None:
            q = self.q_norm(q).to(v.dtype)
            k = self.k_norm(k).to(v.dtype)
        out = attention(q, k, v)  #                                     (B, h, T, d/h)
        x = self.proj(out.transpose(1, 2).reshape(B, T, d))  #          (B, T, d)
        return x


class CrossAttention(nn.Module):
    """Multi-head attention from tokens to a short sequence of conditions."""

    def __init__(self, hidden: int, heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(hidden, hidden)
        self.kv = nn.Linear(hidden, 2 * hidden)
        self.proj = nn.Linear(hidden, hidden)
        self.q_norm = head_norm(hidden // heads) if qk_norm else None
        self.k_norm = head_norm(hidden // heads) if qk_norm else None

    def forward(self, x: Tensor, c: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d) that attend to c (B, S, d) within mask (B, S)."""
        B, T, d = x.shape
        q = self.q(x).view(B, T, self.heads, d // self.heads).transpose(1, 2)  #   (B, h, T, d/h)
        kv = self.kv(c).view(B, c.shape[1], 2, self.heads, d // self.heads)  #     (B, S, 2, h, d/h)
        k, v = kv.transpose(1, 3).unbind(
            2
        )  #                                     2 x (B, h, S, d/h)
        if self.q_norm is not None and self.k_norm is not None:
            q = self.q_norm(q).to(v.dtype)
            k = self.k_norm(k).to(v.dtype)
        mask = None if mask is None else mask[:, None, None]  #                    (B, 1, 1, S)
        out = attention(q, k, v, mask)  #                                          (B, h, T, d/h)
        x = self.proj(out.transpose(1, 2).reshape(B, T, d))  #                     (B, T, d)
        return x


class Mlp(nn.Module):
    """The feed-forward layer: linear, GELU (tanh form), linear."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, width)
        self.fc2 = nn.Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d)."""
        out: Tensor = self.fc2(gelu(self.fc1(x)))
        return out
