"""The block of `search_space/residual_forms/single.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.block import channel_mixer_of, layer_scale_of, token_mixer_of
from search_space.modules.builders import builds
from search_space.modules.layers import DropPath, build_norm
from search_space.residual_forms.single import SingleResidual
from search_space.shapes import BlockShape
from search_space.stage import Stage


@builds(SingleResidual)
class SingleResidualBlock(nn.Module):
    """GFNet's one residual, `(B, C, H, W) -> (B, C, H, W)`: `x + mlp(norm2(mixer(norm1 x)))`."""

    def __init__(self, stage: Stage, shape: BlockShape) -> None:
        super().__init__()
        self.norm1 = build_norm(stage.norm, stage.width)
        self.mixer = token_mixer_of(stage, shape)
        self.norm2 = build_norm(stage.norm, stage.width)
        self.mlp = channel_mixer_of(stage)
        self.ls = layer_scale_of(stage)
        self.drop_path = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(self.ls(self.mlp(self.norm2(self.mixer(self.norm1(x))))))
