"""Operators (`search_space/operators.py`) as modules, each by itself."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from search_space.modules.block import strided_token_mixer
from search_space.modules.builders import build_channel_mixer, build_token_mixer
from search_space.modules.downsampling import build_downsampling
from search_space.modules.layers import LayerScale, build_activation, build_norm
from search_space.modules.squeeze_excite import SqueezeExcite
from search_space.modules.stem import Stem
from search_space.norm import Norm
from search_space.operators import Operator


class Sum(nn.Module):
    """The cost of a shortcut, `(B, C, H, W) -> (B, C, H, W)`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x


class Classifier(nn.Module):
    """The head of a network, `(B, C, H, W) -> (B, classes)`."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        place, kind, width = operator.spec.norm, cast(Norm, operator.detail), operator.width
        self.norm = build_norm(kind, width) if place == "before" else nn.Identity()
        self.fc_norm = build_norm(kind, width) if place == "after" else nn.Identity()
        self.head = nn.Linear(width, operator.out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.fc_norm(self.norm(x).mean(dim=(2, 3), keepdim=True)).flatten(1))


def build(operator: Operator) -> nn.Module:
    """The module of `operator`, `(B, width, *size) -> (B, out, ...)`, with random weights."""
    spec, width, size, out = operator.spec, operator.width, operator.size, operator.out
    match operator.kind:
        case "stem":
            return Stem(spec, width, out, (size[0] // spec.patch, size[1] // spec.patch))
        case "tokens" if operator.stride == 2:
            return nn.Sequential(*strided_token_mixer(spec, width, size))
        case "tokens":
            return build_token_mixer(spec, width, size)
        case "channels":
            return build_channel_mixer(spec, width, operator.detail, out)
        case "downsampling":
            return build_downsampling(spec, width, out, cast(Norm, operator.detail), operator.stride)
        case "norm":
            return build_norm(spec, width)
        case "act":
            return build_activation(spec)
        case "scale":
            return LayerScale(width, 1.0)
        case "gate":
            return SqueezeExcite(width, spec.hidden(width))
        case "sum":
            return Sum()
        case "head":
            return Classifier(operator)
