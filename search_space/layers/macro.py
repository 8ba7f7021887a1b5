"""What stands around the mixers: norms, activations, blocks, downsampling, stem, head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from search_space.architecture import Stage
from search_space.costs import Size
from search_space.macro import Residual, Stem

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


def channel_mixer(stage: Stage) -> nn.Module:
    """The channel mixer of `stage`, with its gate behind it where it has one."""
    mixer = stage.channel_mixer.build(stage.width, stage.act)
    if stage.squeeze_excite is None:
        return mixer
    gate = SqueezeExcite(stage.width, stage.squeeze_excite.hidden(stage.width))
    return nn.Sequential(OrderedDict(mixer=mixer, gate=gate))


def layer_scale(stage: Stage) -> nn.Module:
    """The scale of a residual branch of `stage`; the identity where it has none."""
    return nn.Identity() if stage.layer_scale is None else LayerScale(stage.width, stage.layer_scale)


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


class PreNormBlock(nn.Module):
    """Two residuals, `(B, C, H, W) -> (B, C, H, W)`: `x = x + mixer(norm1 x)`, then `x = x + mlp(norm2 x)`."""

    def __init__(self, stage: Stage, size: Size) -> None:
        super().__init__()
        self.norm1 = norm(stage.norm, stage.width)
        self.mixer = stage.mixer.build(stage.width, size)
        self.ls1 = layer_scale(stage)
        self.norm2 = norm(stage.norm, stage.width)
        self.mlp = channel_mixer(stage)
        self.ls2 = layer_scale(stage)
        self.drop_path = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.ls1(self.mixer(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))


class SingleResidualBlock(nn.Module):
    """GFNet's one residual, `(B, C, H, W) -> (B, C, H, W)`: `x + mlp(norm2(mixer(norm1 x)))`."""

    def __init__(self, stage: Stage, size: Size) -> None:
        super().__init__()
        self.norm1 = norm(stage.norm, stage.width)
        self.mixer = stage.mixer.build(stage.width, size)
        self.norm2 = norm(stage.norm, stage.width)
        self.mlp = channel_mixer(stage)
        self.ls = layer_scale(stage)
        self.drop_path = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(self.ls(self.mlp(self.norm2(self.mixer(self.norm1(x))))))


class ConvMixerBlock(nn.Module):
    """ConvMixer's, `(B, C, H, W) -> (B, C, H, W)`: `z = x + norm1(act(mixer x))`, then `norm2(act(mlp z))`."""

    def __init__(self, stage: Stage, size: Size) -> None:
        super().__init__()
        self.mixer = stage.mixer.build(stage.width, size)
        self.norm1 = norm(stage.norm, stage.width)
        self.ls = layer_scale(stage)
        self.drop_path = DropPath()
        self.mlp = channel_mixer(stage)
        self.norm2 = norm(stage.norm, stage.width)
        self.act = activation(stage.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.ls(self.norm1(self.act(self.mixer(x)))))
        return self.norm2(self.act(self.mlp(x)))


class ShiftViTBlock(nn.Module):
    """ShiftViT's, `(B, C, H, W) -> (B, C, H, W)`: `s = mixer x`, then `s + mlp(norm2 s)`."""

    def __init__(self, stage: Stage, size: Size) -> None:
        super().__init__()
        self.mixer = stage.mixer.build(stage.width, size)
        self.norm2 = norm(stage.norm, stage.width)
        self.mlp = channel_mixer(stage)
        self.ls = layer_scale(stage)
        self.drop_path = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mixer(x)
        return x + self.drop_path(self.ls(self.mlp(self.norm2(x))))


class PlainBlock(nn.Module):
    """clcNet's, `(B, C, H, W) -> (B, C, H, W)`: `norm1(mixer x)`, then `act(norm2(mlp ...))`; no residual."""

    def __init__(self, stage: Stage, size: Size) -> None:
        super().__init__()
        self.mixer = stage.mixer.build(stage.width, size)
        self.norm1 = norm(stage.norm, stage.width)
        self.mlp = channel_mixer(stage)
        self.norm2 = norm(stage.norm, stage.width)
        self.act = activation(stage.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm2(self.mlp(self.norm1(self.mixer(x)))))


BLOCKS: dict[Residual, Callable[[Stage, Size], nn.Module]] = {
    "pre_norm": PreNormBlock,
    "single": SingleResidualBlock,
    "convmixer": ConvMixerBlock,
    "shiftvit": ShiftViTBlock,
    "plain": PlainBlock,
}


def block(stage: Stage, size: Size, index: int) -> nn.Module:
    """Block `index` of `stage` on a map of `size`, in the stage's residual form."""
    mixer = stage.mixer.at(index)
    return BLOCKS[stage.residual](stage if mixer == stage.mixer else stage.changed(mixer=mixer), size)


class Transition(nn.Module):
    """A convolution to the stage's width and map, with its norm, `(B, C_before, H, W) -> (B, C, ceil(H/s), ceil(W/s))`."""

    def __init__(self, width_before: int, stage: Stage) -> None:
        super().__init__()
        how, stride = stage.downsampling, stage.downsample
        kernel = how.kernel if stride == 2 else 1
        padding = 1 if kernel == 3 else 0
        self.norm_before = norm(stage.norm, width_before) if how.norm in ("before", "patches") else nn.Identity()
        self.conv = nn.Conv2d(width_before, stage.width, kernel, stride=stride, padding=padding, bias=how.bias)
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


def transition(width_before: int, stage: Stage) -> nn.Module:
    """What stands before the first block of `stage`: a convolution with its norm, or nothing."""
    if not stage.has_transition(width_before):
        return nn.Identity()
    merges = stage.downsample == 2 and stage.downsampling.norm == "patches"
    return PatchMerging(width_before, stage) if merges else Transition(width_before, stage)


class ConvStem(nn.Module):
    """Pixels to tokens, `(B, in_chans, H, W) -> (B, C, H/patch, W/patch)`; see `search_space.macro.Stem`."""

    def __init__(self, stem: Stem, in_chans: int, width: int, size: Size) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, width, stem.side, stride=stem.patch, padding=stem.padding)
        self.act = nn.Identity() if stem.act is None else activation(stem.act)
        self.norm = nn.Identity() if stem.norm is None else norm(stem.norm, width)
        self.pos_embed = nn.Parameter(torch.empty(1, width, *size)) if stem.pos_embed else None
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.act(self.proj(x)))
        return x if self.pos_embed is None else x + self.pos_embed
