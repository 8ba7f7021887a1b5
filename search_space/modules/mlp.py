"""The channel mixer of `search_space/channel_mixers/mlp.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.channel_mixers.mlp import MLPSpec
from search_space.modules.builders import builds
from search_space.modules.conv import interlace
from search_space.modules.layers import build_activation


class MLP(nn.Module):
    """Two pointwise layers in (g1, g2) groups, interlaced, `(B, C, H, W) -> (B, out, H, W)`; named as timm's `Mlp`."""

    def __init__(
        self,
        width: int,
        hidden: int,
        groups: tuple[int, int],
        act: str,
        out: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.interlace_groups = groups[0] if min(groups) > 1 else 1
        self.fc1 = nn.Conv2d(width, hidden, 1, groups=groups[0], bias=bias)
        self.act = build_activation(act)
        self.fc2 = nn.Conv2d(hidden, out or width, 1, groups=groups[1], bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.interlace_hidden(self.act(self.fc1(x))))

    def interlace_hidden(self, x: torch.Tensor) -> torch.Tensor:
        """The channel shuffle between the activation and the second layer, `(B, L, H, W) -> (B, L, H, W)`."""
        return interlace(x, self.interlace_groups) if self.interlace_groups > 1 else x


@builds(MLPSpec)
def build_mlp(spec: MLPSpec, width: int, act: str, out: int | None) -> nn.Module:
    return MLP(width, spec.hidden(out or width), spec.groups, act, out, spec.bias)
