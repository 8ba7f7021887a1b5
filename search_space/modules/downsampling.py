"""The downsampling of `search_space/downsampling.py`: a convolution with its norm, before the first block or on its shortcut."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.downsampling import DownsamplingSpec
from search_space.field_types import Stride
from search_space.modules.layers import build_norm
from search_space.norm import Norm
from search_space.stage import Stage


class Downsampling(nn.Module):
    """A convolution to the stage's width and map, with its norm, `(B, C_before, H, W) -> (B, C, ceil(H/s), ceil(W/s))`."""

    def __init__(self, spec: DownsamplingSpec, width_before: int, width: int, kind: Norm, stride: Stride) -> None:
        super().__init__()
        kernel = spec.kernel if stride == 2 else 1
        self.norm_before = build_norm(kind, width_before) if spec.norm in ("before", "patches") else nn.Identity()
        self.conv = nn.Conv2d(width_before, width, kernel, stride, 1 if kernel == 3 else 0, bias=spec.bias)
        self.norm_after = build_norm(kind, width) if spec.norm == "after" else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm_before(x)
        if self.conv.kernel_size[0] == 2 and (x.shape[-2] % 2 or x.shape[-1] % 2):
            x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
        return self.norm_after(self.conv(x))


class PatchMerging(nn.Module):
    """Swin's, `(B, C_before, H, W) -> (B, C, ceil(H/2), ceil(W/2))`: a pointwise layer on the normalised 2x2 patches.

    The `4 C_before` numbers of a patch are ordered (column, row, channel), as in Swin's `reduction`.
    """

    def __init__(self, spec: DownsamplingSpec, width_before: int, width: int, kind: Norm) -> None:
        super().__init__()
        self.norm = build_norm(kind, 4 * width_before)
        self.conv = nn.Conv2d(4 * width_before, width, 1, bias=spec.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
        batch, channels, height, width = x.shape
        x = x.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 5, 3, 1, 2, 4)
        return self.conv(self.norm(x.reshape(batch, 4 * channels, height // 2, width // 2)))


def build_downsampling(spec: DownsamplingSpec, width_before: int, width: int, kind: Norm, stride: Stride) -> nn.Module:
    """The module of `spec` from `width_before` to `width` channels, with norms of `kind`."""
    if stride == 2 and spec.norm == "patches":
        return PatchMerging(spec, width_before, width, kind)
    return Downsampling(spec, width_before, width, kind, stride)


def downsampling_of(stage: Stage, width_before: int) -> nn.Module:
    """The downsampling of `stage` for inputs of `width_before` channels."""
    return build_downsampling(stage.downsampling, width_before, stage.width, stage.norm, stage.downsample)


def transition_of(stage: Stage, width_before: int) -> nn.Module:
    """What comes before the first block of `stage`: its downsampling, or the identity."""
    return downsampling_of(stage, width_before) if stage.has_transition(width_before) else nn.Identity()
