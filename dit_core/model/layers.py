"""The three layers every block is made of: self-attention, cross-attention and the feed-forward layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def head_norm(width: int) -> nn.LayerNorm:
    """Return the LayerNorm over one head's queries or keys: learned scale, no shift (Dehghani et al. 2023)."""
    return nn.LayerNorm(width, eps=1e-6, bias=False)


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return softmax(q k^T / sqrt(e)) v (B, h, T, e), in v's type, for q (B, h, T, e), k and v (B, h, S, e).

    Keys where `mask` (broadcast to (B, h, T, S)) is False are not seen. On CPUs bf16 is computed in float32: the
    backward kernel of bf16 takes twice as long there.
    """
    if v.device.type == "cpu" and v.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask).to(v.dtype)
    return F.scaled_dot_product_attention(q, k, v, mask)


class Attention(nn.Module):
    """Multi-head self-attention: one projection to queries, keys and values, one fused attention, one projection."""

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
        if self.q_norm is not None:
            q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        out = fused_attention(q, k, v)  #                               (B, h, T, d/h)
        return self.proj(out.transpose(1, 2).reshape(B, T, d))  #       (B, T, d)


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
        """Return (B, T, d) for tokens x (B, T, d) that attend to conditions c (B, S, d), those in mask (B, S)."""
        B, T, d = x.shape
        q = self.q(x).view(B, T, self.heads, d // self.heads).transpose(1, 2)  #   (B, h, T, d/h)
        kv = self.kv(c).view(B, c.shape[1], 2, self.heads, d // self.heads)  #     (B, S, 2, h, d/h)
        k, v = kv.transpose(1, 3).unbind(2)  #                                     2 x (B, h, S, d/h)
        if self.q_norm is not None:
            q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)
        mask = None if mask is None else mask[:, None, None]  #                    (B, 1, 1, S)
        out = fused_attention(q, k, v, mask)  #                                    (B, h, T, d/h)
        return self.proj(out.transpose(1, 2).reshape(B, T, d))  #                  (B, T, d)


class Mlp(nn.Module):
    """The feed-forward layer: linear, GELU (tanh form), linear."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, width)
        self.fc2 = nn.Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d)."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
