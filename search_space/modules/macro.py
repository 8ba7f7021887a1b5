"""What stands around the mixers: norms, activations, scales, downsampling, stem; the blocks are in `modules/blocks.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.architecture import Stage
from search_space.costs import Size
from search_space.macro import Stem

LAYER_NORM_EPS = 1e-6  # as in ViT's, MLP-Mixer's and GFNet's published code; batch and group norms have torch's 1e-5


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each position, `(B, C, H, W) -> (B, C, H, W)`."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=LAYER_NORM_EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


def norm(kind: str, channels: int) -> nn.Module:
    """The norm `kind` (search_space/macro.py) on maps of `channels`."""
    match kind:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return LayerNorm2d(channels)
        case "group":
            return nn.GroupNorm(1, channels)
    raise ValueError(f"no norm {kind!r}")


def activation(kind: str) -> nn.Module:
    """The activation `kind` (search_space/macro.py); GELU is the erf form."""
    match kind:
        case "gelu":
            return nn.GELU()
        case "relu":
            return nn.ReLU()
        case "silu":
            return nn.SiLU()
    raise ValueError(f"no activation {kind!r}")


class LayerScale(nn.Module):
    """A learned scale for each channel, `(B, C, H, W) -> (B, C, H, W)`."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma[:, None, None]


class SqueezeExcite(nn.Module):
    """A gate on each channel, `(B, C, H, W) -> (B, C, H, W)`: `x * sigmoid(fc2 relu(fc1 mean(x)))`; named as timm's."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))
        return x * gate.sigmoid()


class DropPath(nn.Module):
    """Stochastic depth, `(B, C, H, W) -> (B, C, H, W)`: in training, a sample's branch is zero with probability `rate`.

    What stays is scaled by 1 / (1 - rate). A rate of zero, the default, and evaluation change nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, 1, 1), self.rate)


class Transition(nn.Module):
    """A convolution to the stage's width and map, with its norm, `(B, C_before, H, W) -> (B, C, ceil(H/s), ceil(W/s))`."""

    def __init__(self, width_before: int, stage: Stage) -> None:
        super().__init__()
        how, kernel = stage.downsampling, stage.downsampling.kernel if stage.downsample == 2 else 1
        self.norm_before = norm(stage.norm, width_before) if how.norm in ("before", "patches") else nn.Identity()
        padding = 1 if kernel == 3 else 0
        self.conv = nn.Conv2d(width_before, stage.width, kernel, stage.downsample, padding, bias=how.bias)
        self.norm_after = norm(stage.norm, stage.width) if how.norm == "after" else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm_before(x)
        if self.conv.kernel_size[0] == 2 and (x.shape[-2] % 2 or x.shape[-1] % 2):
            x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
        return self.norm_after(self.conv(x))


class PatchMerging(nn.Module):
    """Swin's, `(B, C_before, H, W) -> (B, C, ceil(H/2), ceil(W/2))`: a pointwise layer on the normed 2x2 patches.

    The `4 C_before` numbers of a patch are ordered (column, row, channel), as in Swin's `reduction`.
    """

    def __init__(self, width_before: int, stage: Stage) -> None:
        super().__init__()
        self.norm = norm(stage.norm, 4 * width_before)
        self.conv = nn.Conv2d(4 * width_before, stage.width, 1, bias=stage.downsampling.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
        batch, channels, height, width = x.shape
        x = x.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 5, 3, 1, 2, 4)
        return self.conv(self.norm(x.reshape(batch, 4 * channels, height // 2, width // 2)))


def halving_means() -> nn.Module:
    """Means of 2x2 positions, `(B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))`, of fewer at an odd border."""
    return nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)


def downsampling(width_before: int, stage: Stage) -> nn.Module:
    """The downsampling of `stage`: a convolution with its norm."""
    merges = stage.downsample == 2 and stage.downsampling.norm == "patches"
    return PatchMerging(width_before, stage) if merges else Transition(width_before, stage)


def transition(width_before: int, stage: Stage) -> nn.Module:
    """What stands before the first block of `stage`: its downsampling, or nothing."""
    return downsampling(width_before, stage) if stage.has_transition(width_before) else nn.Identity()


class ConvNormAct(nn.Module):
    """A convolution, its norm and its activation as a stem has them, `(B, C_in, H, W) -> (B, C_out, H/s, W/s)`."""

    def __init__(self, stem: Stem, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(c_in, c_out, stem.side, stride, stem.padding(stride), bias=stem.bias)
        self.act = nn.Identity() if stem.act is None else activation(stem.act)
        self.norm = nn.Identity() if stem.norm is None else norm(stem.norm, c_out)
        self.norm_first = stem.order == "norm_act"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x)
        return self.act(self.norm(x)) if self.norm_first else self.norm(self.act(x))


class ConvStem(ConvNormAct):
    """Pixels to tokens, `(B, in_chans, H, W) -> (B, C, H/patch, W/patch)`; see `search_space.macro.Stem`.

    It is its first convolution, the one that sees the pixels; `tiers` are those behind it.
    """

    def __init__(self, stem: Stem, in_chans: int, width: int, size: Size) -> None:
        first, *others = stem.convolutions(in_chans, width)
        super().__init__(stem, *first)
        self.tiers = nn.Sequential(*(ConvNormAct(stem, *other) for other in others))
        self.pool = nn.MaxPool2d(3, 2, padding=1) if stem.pool else nn.Identity()
        self.pos_embed = nn.Parameter(torch.empty(1, width, *size)) if stem.pos_embed else None
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.tiers(super().forward(x)))
        return x if self.pos_embed is None else x + self.pos_embed
