"""The lambda layer with a convolution of two axes: ExecuTorch has none of three."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from search_space.modules.lambda_layer import LambdaLayer
from search_space.modules.portable.registry import replaces
from search_space.shapes import Size


class PlanarConv(nn.Module):
    """An `(r, r, 1)` convolution as an `(r, r)` convolution of each value, `(B, u, H, W, v) -> (B, k, H, W, v)`."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.reach = conv.kernel_size[0] // 2
        self.register_buffer("weight", conv.weight.detach().squeeze(-1).clone())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().clone())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        v = values.shape[4]
        maps = values.permute(0, 4, 1, 2, 3).flatten(0, 1)  # (B * v, u, H, W)
        y = F.conv2d(maps, self.weight, self.bias, padding=self.reach)
        return y.unflatten(0, (-1, v)).permute(0, 2, 3, 4, 1)


@replaces(LambdaLayer)
def planar_lambda_layer(module: LambdaLayer, channels: int, size: Size) -> LambdaLayer:
    """A copy of `module` whose local context, if it has one, is a convolution of two axes."""
    layer = copy.deepcopy(module)
    if not layer.is_global:
        layer.add_module("conv_lambda", PlanarConv(module.conv_lambda))
    return layer
