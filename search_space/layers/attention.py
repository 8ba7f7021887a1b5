"""The attention mixers of `search_space/mixers/attention.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SelfAttention(nn.Module):
    """Multi-head self-attention, `(B, C, H, W) -> (B, C, H, W)`; `qkv` rows ordered (3, heads, head_dim), as in timm's ViT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)  # (B, N, C)
        qkv = self.qkv(tokens).view(batch, -1, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, head_dim)
        y = F.scaled_dot_product_attention(q, k, v)
        y = self.proj(y.transpose(1, 2).reshape(batch, -1, channels))
        return y.transpose(1, 2).reshape(batch, channels, height, width)


class ReducedAttention(nn.Module):
    """Self-attention whose keys and values come from LN(Conv_{r, stride r}(x)), `(B, C, H, W) -> (B, C, H, W)`; named as PVT."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.sr = nn.Conv2d(width, width, reduction, stride=reduction)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        head = channels // self.heads
        q = self.q(x.flatten(2).transpose(1, 2)).view(batch, -1, self.heads, head).transpose(1, 2)
        reduced = self.norm(self.sr(x).flatten(2).transpose(1, 2))  # (B, M, C)
        k, v = self.kv(reduced).view(batch, -1, 2, self.heads, head).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)  # (B, heads, N, head_dim)
        y = self.proj(y.transpose(1, 2).reshape(batch, -1, channels))
        return y.transpose(1, 2).reshape(batch, channels, height, width)
