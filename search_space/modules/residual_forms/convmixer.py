"""The block of `search_space/residual_forms/convmixer.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.block import channel_mixer_of, layer_scale_of, token_mixer_of
from search_space.modules.builders import builds
from search_space.modules.layers import DropPath, build_activation, build_norm
from search_space.residual_forms.convmixer import ConvMixer
from search_space.shapes import BlockShape
from search_space.stage import Stage


@builds(ConvMixer)
class ConvMixerBlock(nn.Module):
    """ConvMixer's, `(B, C, H, W) -> (B, C, H, W)`: `z = x + norm1(act(mixer x))`, then `norm2(act(mlp z))`."""

    def __init__(self, stage: Stage, shape: BlockShape) -> None:
        super().__init__()
        self.mixer = token_mixer_of(stage, shape)
        self.norm1 = build_norm(stage.norm, stage.width)
        self.ls = layer_scale_of(stage)
        self.drop_path = DropPath()
        self.mlp = channel_mixer_of(stage)
        self.norm2 = build_norm(stage.norm, stage.width)
        self.act = build_activation(stage.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.ls(self.norm1(self.act(self.mixer(x)))))
        return self.norm2(self.act(self.mlp(x)))
