"""bottleneck: `x = act(x + norm3 c2(act(norm2 m(act(norm1 c1 x)))))` (ResNet; He et al., CVPR 2016; BoTNet; LambdaResNet).

c1 and c2 are the two layers of the channel mixer, which is an `mlp`: the token mixer stands between them and works at its
hidden width. Where the block changes map or width, the shortcut is the stage's downsampling.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from search_space.channel_graph import ChannelGraph, Layer
from search_space.channel_mixers import ChannelMixerSpec
from search_space.channel_mixers.mlp import MLPSpec
from search_space.channel_mixers.pointwise import PointwiseSpec
from search_space.errors import ArchitectureError
from search_space.mixers import TokenMixerSpec
from search_space.residual_forms.base import RESIDUAL_FORMS, BlockLayers, ResidualForm
from search_space.shapes import BlockShape, MapShape
from search_space.tape import FeatureMap


def mlp_of(channel_mixer: ChannelMixerSpec) -> MLPSpec:
    """The channel mixer as an `mlp`, whose two layers a token mixer can stand between.

    Raises:
        ArchitectureError: it is another channel mixer.
    """
    if not isinstance(channel_mixer, MLPSpec):
        rule = "must be mlp for residual 'bottleneck', whose token mixer is between its two layers"
        raise ArchitectureError("", rule, channel_mixer.name)
    return channel_mixer


@lru_cache(maxsize=4096)
def _layers_of(mlp: MLPSpec) -> tuple[PointwiseSpec, PointwiseSpec]:
    g1, g2 = mlp.groups
    return PointwiseSpec(groups=g1, bias=mlp.bias), PointwiseSpec(groups=g2, bias=mlp.bias)


class Bottleneck(ResidualForm):
    """One residual branch through the first layer of the `mlp`, the token mixer and the second layer."""

    name: ClassVar[str] = "bottleneck"
    branches: ClassVar[int] = 1
    may_change_shape: ClassVar[bool] = True

    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        mlp, out = mlp_of(layers.channel_mixer_spec), layers.shape.width
        (g1, g2), (fc1, fc2) = mlp.groups, _layers_of(mlp)
        y = layers.act(layers.norm(layers.part_of_channel_mixer(fc1, x, mlp.hidden(out))))
        y = layers.token_mixer(layers.interlace(y, g1) if g2 > 1 else y)
        y = layers.act(layers.norm(y))
        y = layers.norm(layers.part_of_channel_mixer(fc2, y, out))
        y = layers.gate(y)
        return layers.act(layers.residual_sum(layers.shortcut(x), y))

    def check_channel_mixer_kind(self, channel_mixer: ChannelMixerSpec) -> None:
        mlp_of(channel_mixer)

    def token_mixer_shape(self, channel_mixer: ChannelMixerSpec, shape: BlockShape) -> MapShape:
        """The hidden width, at the map of the block's input."""
        return MapShape(mlp_of(channel_mixer).hidden(shape.width), shape.size_before)

    def check_channel_mixer(self, channel_mixer: ChannelMixerSpec, shape: BlockShape) -> None:
        mlp_of(channel_mixer).check(shape.width_before, shape.width)

    def check_reach(self, token_mixer: ChannelGraph, channel_mixer: ChannelMixerSpec, shape: BlockShape) -> None:
        mlp_of(channel_mixer).check_reach_around(shape.width_before, token_mixer, shape.width)

    def layers(
        self, token_mixer: TokenMixerSpec, channel_mixer: ChannelMixerSpec, shape: BlockShape
    ) -> tuple[Layer, ...]:
        """The layers of the `mlp`, those of the token mixer before its last."""
        width, _ = self.token_mixer_shape(channel_mixer, shape)
        *first, last = channel_mixer.layers(shape.width_before, shape.width)
        return (*first, *token_mixer.layers(width), last)


RESIDUAL_FORMS.register(Bottleneck())
