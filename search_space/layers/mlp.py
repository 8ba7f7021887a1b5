"""The MLP of `search_space/channel_mixers/mlp.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.layers.conv import interlace
from search_space.layers.macro import activation


class InterlacedMLP(nn.Module):
    """Two pointwise layers in (g1, g2) groups, interlaced, `(B, C, H, W) -> (B, C, H, W)`; named as timm's `Mlp`."""

    def __init__(self, width: int, hidden: int, groups: tuple[int, int], act: str) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, hidden, 1, groups=groups[0])
        self.act = activation(act)
        self.fc2 = nn.Conv2d(hidden, width, 1, groups=groups[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.fc1(x))
        if self.fc1.groups > 1 and self.fc2.groups > 1:
            x = interlace(x, self.fc1.groups)
        return self.fc2(x)
