"""The layers that every block is made of besides its mixers: norms, activations, layer scale, stochastic depth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.modules.batch_norm import MapBatchNorm
from search_space.norm import DEFAULT_EPS, Norm, norm_eps, norm_name


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each position, `(B, C, H, W) -> (B, C, H, W)`."""

    def __init__(self, channels: int, eps: float = DEFAULT_EPS["layer"]) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


def build_norm(norm: Norm, channels: int) -> nn.Module:
    """The module of `norm` (search_space/norm.py) for maps of `channels`."""
    eps = norm_eps(norm)
    match norm_name(norm):
        case "batch":
            return MapBatchNorm(channels, eps=eps)
        case "layer":
            return LayerNorm2d(channels, eps)
        case "group":
            return nn.GroupNorm(1, channels, eps=eps)


def build_activation(kind: str) -> nn.Module:
    """The activation `kind` (search_space/field_types.py); GELU is the erf form."""
    match kind:
        case "gelu":
            return nn.GELU()
        case "relu":
            return nn.ReLU()
        case "silu":
            return nn.SiLU()
    raise ValueError(f"no such activation {kind!r}")


class LayerScale(nn.Module):
    """A learned scale for each channel, `(B, C, H, W) -> (B, C, H, W)`."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma[:, None, None]


class DropPath(nn.Module):
    """Stochastic depth, `(B, C, H, W) -> (B, C, H, W)`: in training, the branch of a sample is zero with probability `rate`.

    The others are scaled by 1 / (1 - rate). A rate of zero, the default, and evaluation change nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, 1, 1), self.rate)


def avg_pool2x2() -> nn.Module:
    """Means of 2x2 positions, `(B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))`, of fewer at an odd border."""
    return nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
