"""Operators (`search_space/operators.py`) as modules, each alone."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from search_space.architecture import Stage
from search_space.macro import Norm
from search_space.mixers import MIXERS
from search_space.modules import macro
from search_space.modules.blocks import halving_mixer
from search_space.operators import Operator


class Sum(nn.Module):
    """What a shortcut costs, `(B, C, H, W) -> (B, C, H, W)`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x


class Classifier(nn.Module):
    """The end of a network, `(B, C, H, W) -> (B, classes)`."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        place, kind, width = operator.what.norm, operator.how, operator.width
        self.norm = macro.norm(kind, width) if place == "before" else nn.Identity()
        self.fc_norm = macro.norm(kind, width) if place == "after" else nn.Identity()
        self.head = nn.Linear(width, operator.out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.fc_norm(self.norm(x).mean(dim=(2, 3), keepdim=True)).flatten(1))


def build(operator: Operator) -> nn.Module:
    """The module of `operator`, `(B, width, *size) -> (B, out, ...)`, with random weights."""
    what, width, size, out = operator.what, operator.width, operator.size, operator.out
    match operator.kind:
        case "stem":
            return macro.ConvStem(what, width, out, (size[0] // what.patch, size[1] // what.patch))
        case "tokens" if operator.stride == 2:
            return nn.Sequential(*halving_mixer(what, width, size))
        case "tokens":
            return what.build(width, size)
        case "channels":
            return what.build(width, operator.how, out)
        case "downsampling":
            stage = Stage(
                mixer=MIXERS["identity"](),
                width=out,
                downsample=operator.stride,
                downsampling=what,
                norm=cast(Norm, operator.how),
            )
            return macro.downsampling(width, stage)
        case "norm":
            return macro.norm(what, width)
        case "act":
            return macro.activation(what)
        case "scale":
            return macro.LayerScale(width, 1.0)
        case "gate":
            return macro.SqueezeExcite(width, what.hidden(width))
        case "sum":
            return Sum()
        case "head":
            return Classifier(operator)
