"""The stem of `search_space/stem.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.layers import build_activation, build_norm
from search_space.shapes import Size
from search_space.stem import StemSpec


class ConvNormAct(nn.Module):
    """A convolution of a stem with its norm and activation, `(B, C_in, H, W) -> (B, C_out, H/s, W/s)`."""

    def __init__(self, spec: StemSpec, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(c_in, c_out, spec.side, stride, spec.padding(stride), bias=spec.bias)
        self.act = nn.Identity() if spec.act is None else build_activation(spec.act)
        self.norm = nn.Identity() if spec.norm is None else build_norm(spec.norm, c_out)
        self.norm_first = spec.order == "norm_act"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x)
        return self.act(self.norm(x)) if self.norm_first else self.norm(self.act(x))


class Stem(ConvNormAct):
    """Pixels to tokens, `(B, in_chans, H, W) -> (B, C, H/patch, W/patch)`; see `StemSpec`.

    It is itself the first convolution, the one whose input is the image; `tiers` are the others.
    """

    def __init__(self, spec: StemSpec, in_chans: int, width: int, size: Size) -> None:
        first, *others = spec.convolutions(in_chans, width)
        super().__init__(spec, *first)
        self.tiers = nn.Sequential(*(ConvNormAct(spec, *other) for other in others))
        self.pool = nn.MaxPool2d(3, 2, padding=1) if spec.pool else nn.Identity()
        self.pos_embed = nn.Parameter(torch.empty(1, width, *size)) if spec.pos_embed else None
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.tiers(super().forward(x)))
        return x if self.pos_embed is None else x + self.pos_embed
