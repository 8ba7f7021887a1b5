"""The blocks of a stage, one class for each residual form (search_space/macro.py).

Each is built from the description of its stage and the site where it stands (search_space/blocks.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from search_space import blocks
from search_space.architecture import Stage
from search_space.blocks import BlockShape
from search_space.costs import Size
from search_space.macro import Residual
from search_space.mixers import Mixer
from search_space.modules.macro import (
    DropPath,
    LayerScale,
    SqueezeExcite,
    activation,
    downsampling,
    halving_means,
    norm,
)
from search_space.modules.mlp import InterlacedMLP


def token_mixer(stage: Stage, site: BlockShape) -> tuple[nn.Module, nn.Module]:
    """The token mixer of `stage` at `site`, and what stands behind it: means of 2x2 where it cannot halve the map itself."""
    width, size = blocks.spot(stage.residual, stage.channel_mixer, site)
    if site.stride == 1:
        return stage.mixer.build(width, size), nn.Identity()
    return halving_mixer(stage.mixer, width, size)


def halving_mixer(mixer: Mixer, width: int, size: Size) -> tuple[nn.Module, nn.Module]:
    """`mixer` with a stride of 2 and the identity, or where it has no stride, itself and means of 2x2."""
    halving = mixer.build_halving(width, size)
    return (mixer.build(width, size), halving_means()) if halving is None else (halving, nn.Identity())


def channel_mixer(stage: Stage, width_before: int | None = None) -> nn.Module:
    """The channel mixer of `stage` for maps of `width_before` channels (None: its own), with its gate where it has one."""
    mixer = stage.channel_mixer.build(width_before or stage.width, stage.act, stage.width)
    if stage.squeeze_excite is None:
        return mixer
    return nn.Sequential(OrderedDict(mixer=mixer, gate=squeeze_excite(stage)))


def squeeze_excite(stage: Stage) -> nn.Module:
    """The gate of `stage`; the identity where it has none."""
    if stage.squeeze_excite is None:
        return nn.Identity()
    return SqueezeExcite(stage.width, stage.squeeze_excite.hidden(stage.width))


def layer_scale(stage: Stage) -> nn.Module:
    """The scale of a residual branch of `stage`; the identity where it has none."""
    return nn.Identity() if stage.layer_scale is None else LayerScale(stage.width, stage.layer_scale)


class PreNormBlock(nn.Module):
    """Two residuals, `(B, C, H, W) -> (B, C, H, W)`: `x = x + mixer(norm1 x)`, then `x = x + mlp(norm2 x)`."""

    def __init__(self, stage: Stage, site: BlockShape) -> None:
        super().__init__()
        self.norm1 = norm(stage.norm, stage.width)
        self.mixer = stage.mixer.build(site.width, site.size)
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

    def __init__(self, stage: Stage, site: BlockShape) -> None:
        super().__init__()
        self.norm1 = norm(stage.norm, stage.width)
        self.mixer = stage.mixer.build(site.width, site.size)
        self.norm2 = norm(stage.norm, stage.width)
        self.mlp = channel_mixer(stage)
        self.ls = layer_scale(stage)
        self.drop_path = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(self.ls(self.mlp(self.norm2(self.mixer(self.norm1(x))))))


class ConvMixerBlock(nn.Module):
    """ConvMixer's, `(B, C, H, W) -> (B, C, H, W)`: `z = x + norm1(act(mixer x))`, then `norm2(act(mlp z))`."""

    def __init__(self, stage: Stage, site: BlockShape) -> None:
        super().__init__()
        self.mixer = stage.mixer.build(site.width, site.size)
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

    def __init__(self, stage: Stage, site: BlockShape) -> None:
        super().__init__()
        self.mixer = stage.mixer.build(site.width, site.size)
        self.norm2 = norm(stage.norm, stage.width)
        self.mlp = channel_mixer(stage)
        self.ls = layer_scale(stage)
        self.drop_path = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mixer(x)
        return x + self.drop_path(self.ls(self.mlp(self.norm2(x))))


class PlainBlock(nn.Module):
    """clcNet's: `norm1(mixer x)`, then `act(norm2(mlp ...))`; no residual.

    `(B, C, H, W) -> (B, C, H, W)`, or `(B, C_before, H, W) -> (B, C, ceil(H/s), ceil(W/s))` where the stage begins in it.
    """

    def __init__(self, stage: Stage, site: BlockShape) -> None:
        super().__init__()
        self.mixer, self.pool = token_mixer(stage, site)
        self.norm1 = norm(stage.norm, site.width_before)
        self.mlp = channel_mixer(stage, site.width_before)
        self.norm2 = norm(stage.norm, stage.width)
        self.act = activation(stage.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm2(self.mlp(self.norm1(self.pool(self.mixer(x))))))


class BottleneckBlock(nn.Module):
    """ResNet's: `act(shortcut x + norm3 fc2(act(norm2 mixer(act(norm1 fc1 x)))))`, fc1 and fc2 the layers of `mlp`.

    `(B, C, H, W) -> (B, C, H, W)`, or `(B, C_before, H, W) -> (B, C, ceil(H/s), ceil(W/s))` where the stage begins in it;
    then the shortcut is its downsampling, else the identity.
    """

    def __init__(self, stage: Stage, site: BlockShape) -> None:
        super().__init__()
        self.shortcut = downsampling(site.width_before, stage) if site.changes else nn.Identity()
        pair = blocks.pair_of(stage.channel_mixer)
        hidden = pair.hidden(stage.width)
        self.mlp = InterlacedMLP(site.width_before, hidden, pair.groups, stage.act, stage.width, pair.bias)
        self.norm1 = norm(stage.norm, hidden)
        self.mixer, self.pool = token_mixer(stage, site)
        self.norm2 = norm(stage.norm, hidden)
        self.norm3 = norm(stage.norm, stage.width)
        self.gate = squeeze_excite(stage)
        self.ls = layer_scale(stage)
        self.drop_path = DropPath()
        self.act = activation(stage.act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.mlp.between(self.act(self.norm1(self.mlp.fc1(x))))
        y = self.act(self.norm2(self.pool(self.mixer(y))))
        y = self.gate(self.norm3(self.mlp.fc2(y)))
        return self.act(self.shortcut(x) + self.drop_path(self.ls(y)))


BLOCKS: dict[Residual, Callable[[Stage, BlockShape], nn.Module]] = {
    "pre_norm": PreNormBlock,
    "single": SingleResidualBlock,
    "convmixer": ConvMixerBlock,
    "shiftvit": ShiftViTBlock,
    "plain": PlainBlock,
    "bottleneck": BottleneckBlock,
}


def block(stage: Stage, site: BlockShape, index: int) -> nn.Module:
    """Block `index` of `stage`, which stands at `site`, in the stage's residual form."""
    mixer = blocks.at_spot(stage, blocks.spot(stage.residual, stage.channel_mixer, site)).at(index)
    return BLOCKS[stage.residual](stage if mixer == stage.mixer else stage.replace(mixer=mixer), site)
