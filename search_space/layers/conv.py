"""The convolution mixer of `search_space/mixers/conv.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def interlace(x: torch.Tensor, groups: int) -> torch.Tensor:
    """The channel shuffle `y[p] = x[(p % groups) * (C // groups) + p // groups]`, `(B, C, H, W) -> (B, C, H, W)`."""
    batch, channels, height, width = x.shape
    return x.view(batch, groups, channels // groups, height, width).transpose(1, 2).reshape(x.shape)


class SameConv(nn.Conv2d):
    """A k x k convolution that keeps the map's size, `(B, C, H, W) -> (B, C, H, W)`; an even k pads more at right and bottom."""

    def __init__(self, width: int, k: int, groups: int, interlace: bool = False) -> None:
        super().__init__(width, width, k, padding=k // 2 if k % 2 else 0, groups=groups)
        self.interlace = interlace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        k = self.kernel_size[0]
        if k % 2 == 0:
            before, after = (k - 1) // 2, k // 2
            x = F.pad(x, (before, after, before, after))
        y = super().forward(x)
        return interlace(y, self.groups) if self.interlace else y
