"""pointwise: one 1x1 convolution, dense or in groups: ConvMixer's channel mixing, and the second half of clcNet's CLC block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from search_space import cdg, costs
from search_space.channel_mixers.base import CHANNEL_MIXERS, ChannelMixer
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError

if TYPE_CHECKING:
    from torch import nn


@CHANNEL_MIXERS.register
class Pointwise(ChannelMixer):
    """A 1x1 convolution, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        groups: of the convolution; more than one only behind a token mixer that spreads channels over the groups.
    """

    name: ClassVar[str] = "pointwise"
    groups: Annotated[int, Field(ge=1)] = 1

    def check(self, width: int) -> None:
        if width % self.groups:
            raise ArchitectureError("groups", f"must divide the width {width}", self.groups)

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.grouped(width, width, self.groups)

    def cost(self, width: int, size: Size) -> Cost:
        return costs.conv(width, width, 1, size, self.groups)

    def build(self, width: int, act: str) -> nn.Module:
        from torch import nn

        return nn.Conv2d(width, width, 1, groups=self.groups)
