"""What stands around the mixers: norms, activations, blocks, downsampling, stem, head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.architecture import Stage
from search_space.costs import Size

EPS = 1e-6  # of layer and group norms, as in ViT's and MetaFormer's published code


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each position, `(B, C, H, W) -> (B, C, H, W)`."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPS)

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
            return nn.GroupNorm(1, channels, eps=EPS)
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


def layer_scale(stage: Stage) -> nn.Module:
    """The scale of a residual branch of `stage`; the identity where it has none."""
    return nn.Identity() if stage.layer_scale is None else LayerScale(stage.width, stage.layer_scale)


class PreNormBlock(nn.Module):
    """Two residuals, `(B, C, H, W) -> (B, C, H, W)`: `x = x + mixer(norm1 x)`, then `x = x + mlp(norm2 x)`."""

    def __init__(self, stage: Stage, size: Size) -> None:
        super().__init__()
        self.norm1 = norm(stage.norm, stage.width)
        self.mixer = stage.mixer.build(stage.width, size)
        self.ls1 = layer_scale(stage)
        self.norm2 = norm(stage.norm, stage.width)
        self.mlp = stage.channel_mixer.build(stage.width, stage.act)
        self.ls2 = layer_scale(stage)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.ls1(self.mixer(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class SingleResidualBlock(nn.Module):
    """GFNet's one residual, `(B, C, H, W) -> (B, C, H, W)`: `x + mlp(norm2(mixer(norm1 x)))`."""

    def __init__(self, stage: Stage, size: Size) -> None:
        super().__init__()
        self.norm1 = norm(stage.norm, stage.width)
        self.mixer = stage.mixer.build(stage.width, size)
        self.norm2 = norm(stage.norm, stage.width)
        self.mlp = stage.channel_mixer.build(stage.width, stage.act)
        self.ls = layer_scale(stage)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.ls(self.mlp(self.norm2(self.mixer(self.norm1(x)))))


def block(stage: Stage, size: Size) -> nn.Module:
    """One block of `stage` on a map of `size`, in the stage's residual form."""
    return PreNormBlock(stage, size) if stage.residual == "pre_norm" else SingleResidualBlock(stage, size)


def transition(width_before: int, stage: Stage) -> nn.Module:
    """What stands before the first block of `stage`: nothing, or a norm and a convolution to its width and size."""
    if stage.downsample == 1 and width_before == stage.width:
        return nn.Identity()
    kernel = 3 if stage.downsample == 2 else 1
    return nn.Sequential(
        norm(stage.norm, width_before),
        nn.Conv2d(width_before, stage.width, kernel, stride=stage.downsample, padding=kernel // 2),
    )


class PatchStem(nn.Module):
    """Patches to tokens, `(B, in_chans, H, W) -> (B, C, H/patch, W/patch)`, with an optional position embedding."""

    def __init__(self, in_chans: int, width: int, patch: int, embedded_size: Size | None) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, width, patch, stride=patch)
        self.pos_embed = None if embedded_size is None else nn.Parameter(torch.empty(1, width, *embedded_size))
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x)
        return x if self.pos_embed is None else x + self.pos_embed
