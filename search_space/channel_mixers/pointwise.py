"""pointwise: one 1x1 convolution, dense or in groups: ConvMixer's channel mixing, and the second half of clcNet's CLC block."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.channel_mixers.base import CHANNEL_MIXERS, ChannelMixerSpec
from search_space.errors import ArchitectureError
from search_space.tape import FeatureMap, Tape


@CHANNEL_MIXERS.register
class PointwiseSpec(ChannelMixerSpec):
    """A 1x1 convolution, `(B, C, H, W) -> (B, out, H, W)`.

    Args:
        groups: of the convolution; more than one only after a token mixer that mixes channels across the groups.
        bias: whether the convolution has a bias.
    """

    name: ClassVar[str] = "pointwise"
    groups: Annotated[int, Field(ge=1)] = 1
    bias: bool = True

    def check(self, width: int, out: int | None = None) -> None:
        for channels in (width, out or width):
            if channels % self.groups:
                raise ArchitectureError("groups", f"must divide the width {channels}", self.groups)

    def check_reach(self, width: int, before: cdg.ChannelGraph, out: int | None = None) -> None:
        # An output depends on its whole group, so it misses no input that any channel of the group depends on.
        if not before.matrix.reshape(self.groups, width // self.groups, width).any(axis=1).all():
            super().check_reach(width, before, out)

    def graph(self, width: int, out: int | None = None) -> cdg.ChannelGraph:
        return cdg.grouped_layer(width, out or width, self.groups)

    def trace(self, x: FeatureMap, tape: Tape, act: str, out: int | None = None) -> FeatureMap:
        return tape.conv(x, out or x.width, groups=self.groups, bias=self.bias)
