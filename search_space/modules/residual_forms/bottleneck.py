"""The block of `search_space/residual_forms/bottleneck.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.block import gate_of, layer_scale_of, token_mixer_and_pool_of
from search_space.modules.builders import builds
from search_space.modules.downsampling import downsampling_of
from search_space.modules.layers import DropPath, build_activation, build_norm
from search_space.modules.mlp import MLP
from search_space.residual_forms.bottleneck import Bottleneck, mlp_of
from search_space.shapes import BlockShape
from search_space.stage import Stage


@builds(Bottleneck)
class BottleneckBlock(nn.Module):
    """The block of ResNet, `act(shortcut x + norm3 fc2(act(norm2 mixer(act(norm1 fc1 x)))))`, fc1 and fc2 the layers of `mlp`.

    `(B, C, H, W) -> (B, C, H, W)`, or `(B, C_before, H, W) -> (B, C, ceil(H/s), ceil(W/s))` where the block changes map or width;
    then the shortcut is its downsampling, else the identity.
    """

    def __init__(self, stage: Stage, shape: BlockShape) -> None:
        super().__init__()
        self.shortcut = downsampling_of(stage, shape.width_before) if shape.is_changing else nn.Identity()
        mlp = mlp_of(stage.channel_mixer)
        hidden = mlp.hidden(stage.width)
        self.mlp = MLP(shape.width_before, hidden, mlp.groups, stage.act, stage.width, mlp.bias)
        self.norm1 = build_norm(stage.norm, hidden)
        self.mixer, self.pool = token_mixer_and_pool_of(stage, shape)
        self.norm2 = build_norm(stage.norm, hidden)
        self.norm3 = build_norm(stage.norm, stage.width)
        self.gate = gate_of(stage)
        self.ls = layer_scale_of(stage)
        self.drop_path = DropPath()
        self.act = build_activation(stage.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.mlp.interlace_hidden(self.act(self.norm1(self.mlp.fc1(x))))
        y = self.act(self.norm2(self.pool(self.mixer(y))))
        y = self.gate(self.norm3(self.mlp.fc2(y)))
        return self.act(self.shortcut(x) + self.drop_path(self.ls(y)))
