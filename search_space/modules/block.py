"""Blocks of a stage, and the parts of them that residual forms share; the forms are in `residual_forms/`."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from search_space.mixers import TokenMixerSpec
from search_space.modules.builders import (
    build_channel_mixer,
    build_strided_token_mixer,
    build_token_mixer,
    builder_of,
)
from search_space.modules.layers import LayerScale, avg_pool2x2
from search_space.modules.squeeze_excite import SqueezeExcite
from search_space.shapes import BlockShape, Size
from search_space.stage import Stage


def build_block(stage: Stage, shape: BlockShape, index: int) -> nn.Module:
    """Block `index` of `stage`, of `shape`, in the stage's residual form."""
    mixer = stage.canonical_mixer(shape).for_block(index)
    own_stage = stage if mixer == stage.mixer else stage.replace(mixer=mixer)
    return builder_of(type(stage.residual_form))(own_stage, shape)


def token_mixer_of(stage: Stage, shape: BlockShape) -> nn.Module:
    """The token mixer of a block that keeps its map, `(B, C, H, W) -> (B, C, H, W)`."""
    return build_token_mixer(stage.mixer, *stage.token_mixer_shape(shape))


def token_mixer_and_pool_of(stage: Stage, shape: BlockShape) -> tuple[nn.Module, nn.Module]:
    """The token mixer of a block that may halve its map, and the module after it, see `strided_token_mixer`."""
    if shape.stride == 1:
        return token_mixer_of(stage, shape), nn.Identity()
    return strided_token_mixer(stage.mixer, *stage.token_mixer_shape(shape))


def strided_token_mixer(spec: TokenMixerSpec, width: int, size: Size) -> tuple[nn.Module, nn.Module]:
    """The token mixer with a stride of 2 and the identity, or, where it has no stride, itself and means of 2x2 positions."""
    strided = build_strided_token_mixer(spec, width, size)
    return (build_token_mixer(spec, width, size), avg_pool2x2()) if strided is None else (strided, nn.Identity())


def channel_mixer_of(stage: Stage, width_before: int | None = None) -> nn.Module:
    """The channel mixer of `stage` for inputs of `width_before` channels (None: its own), with its gate if it has one."""
    mixer = build_channel_mixer(stage.channel_mixer, width_before or stage.width, stage.act, stage.width)
    if stage.squeeze_excite is None:
        return mixer
    return nn.Sequential(OrderedDict(mixer=mixer, gate=gate_of(stage)))


def gate_of(stage: Stage) -> nn.Module:
    """The squeeze-and-excitation gate of `stage`; the identity if it has none."""
    if stage.squeeze_excite is None:
        return nn.Identity()
    return SqueezeExcite(stage.width, stage.squeeze_excite.hidden(stage.width))


def layer_scale_of(stage: Stage) -> nn.Module:
    """The layer scale of a residual branch of `stage`; the identity if it has none."""
    return nn.Identity() if stage.layer_scale is None else LayerScale(stage.width, stage.layer_scale)
