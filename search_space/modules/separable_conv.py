"""The inverted separable convolution of `search_space/mixers/separable_conv.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.separable_conv import SeparableConvSpec
from search_space.modules.builders import builds
from search_space.modules.depthwise import run_depthwise
from search_space.shapes import Size


class StarReLU(nn.Module):
    """`scale * relu(x)^2 + bias` with learned scalars, of any shape."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positive = F.relu(x)
        return self.scale * (positive * positive) + self.bias


ACTIVATIONS: dict[str, type[nn.Module]] = {"star_relu": StarReLU, "relu": nn.ReLU, "gelu": nn.GELU}


class SeparableConv(nn.Module):
    """Pointwise, activation, depthwise k x k, pointwise, `(B, C, H, W) -> (B, C, H, W)`; named as timm's `SepConv`."""

    def __init__(self, width: int, hidden: int, k: int, act: str) -> None:
        super().__init__()
        self.kernel = (k, k)
        self.pwconv1 = nn.Conv2d(width, hidden, 1, bias=False)
        self.act1 = ACTIVATIONS[act]()
        self.dwconv = nn.Conv2d(hidden, hidden, k, padding=(k - 1) // 2, groups=hidden, bias=False)
        self.pwconv2 = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act1(self.pwconv1(x))
        return self.pwconv2(run_depthwise(self.dwconv, x, self.kernel))


@builds(SeparableConvSpec)
def build_separable_conv(spec: SeparableConvSpec, width: int, size: Size) -> nn.Module:
    return SeparableConv(width, spec.hidden(width), spec.k, spec.act)
