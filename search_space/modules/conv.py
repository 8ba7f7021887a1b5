"""The convolution mixer of `search_space/mixers/conv.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.conv import ConvSpec
from search_space.modules.builders import builds
from search_space.modules.depthwise import depthwise_conv
from search_space.shapes import Size

torch.fx.wrap("depthwise_conv")  # one node of a traced graph; the kernel is chosen when it runs


def interlace(x: torch.Tensor, groups: int) -> torch.Tensor:
    """The channel shuffle `y[p] = x[(p % groups) * (C // groups) + p // groups]`, `(B, C, H, W) -> (B, C, H, W)`."""
    batch, channels, height, width = x.shape
    return x.view(batch, groups, channels // groups, height, width).transpose(1, 2).reshape(x.shape)


class Conv(nn.Conv2d):
    """A k x k convolution with 'same' padding, `(B, C, H, W) -> (B, C, H, W)`; an even k pads one more at right and bottom.

    With a stride s, `(B, C, H, W) -> (B, C, ceil(H/s), ceil(W/s))`.
    """

    def __init__(
        self, width: int, k: int, groups: int, interlace: bool = False, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__(width, width, k, stride, padding=(k - 1) // 2, groups=groups, bias=bias)
        self.interlace = interlace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.groups == self.in_channels and self.stride == (1, 1):
            return depthwise_conv(x, self.weight, self.bias, (self.kernel_size[0], self.kernel_size[0]))
        if self.kernel_size[0] % 2 == 0:
            x = F.pad(x, (0, 1, 0, 1))
        y = super().forward(x)
        return interlace(y, self.groups) if self.interlace else y


@builds(ConvSpec)
def build_conv(spec: ConvSpec, width: int, size: Size) -> nn.Module:
    return Conv(width, spec.k, spec.num_groups(width), spec.interlace, 1, spec.bias)


@builds(ConvSpec, stride=2)
def build_strided_conv(spec: ConvSpec, width: int, size: Size) -> nn.Module:
    return Conv(width, spec.k, spec.num_groups(width), spec.interlace, 2, spec.bias)
