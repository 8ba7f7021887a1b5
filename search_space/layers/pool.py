"""The pooling mixer of `search_space/mixers/pool.py`."""

from __future__ import annotations

import torch
from torch import nn


class Pooling(nn.Module):
    """`avgpool_k(x) - x`, `(B, C, H, W) -> (B, C, H, W)`; padding is not counted in the average."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(k, stride=1, padding=k // 2, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(x) - x
