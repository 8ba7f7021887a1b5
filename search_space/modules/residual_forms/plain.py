"""The block of `search_space/residual_forms/plain.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.block import channel_mixer_of, token_mixer_and_pool_of
from search_space.modules.builders import builds
from search_space.modules.layers import build_activation, build_norm
from search_space.residual_forms.plain import Plain
from search_space.shapes import BlockShape
from search_space.stage import Stage


@builds(Plain)
class PlainBlock(nn.Module):
    """clcNet's: `norm1(mixer x)`, then `act(norm2(mlp ...))`; no residual.

    `(B, C, H, W) -> (B, C, H, W)`, or `(B, C_before, H, W) -> (B, C, ceil(H/s), ceil(W/s))` where the block changes map or width.
    """

    def __init__(self, stage: Stage, shape: BlockShape) -> None:
        super().__init__()
        self.mixer, self.pool = token_mixer_and_pool_of(stage, shape)
        self.norm1 = build_norm(stage.norm, shape.width_before)
        self.mlp = channel_mixer_of(stage, shape.width_before)
        self.norm2 = build_norm(stage.norm, stage.width)
        self.act = build_activation(stage.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm2(self.mlp(self.norm1(self.pool(self.mixer(x))))))
