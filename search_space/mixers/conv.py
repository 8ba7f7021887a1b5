"""conv: a k x k convolution, depthwise by default (ConvMixer; Trockman & Kolter, "Patches Are All You Need?", 2022).

`groups` between "depthwise" and 1 gives the grouped convolution of clcNet (Zhang, CVPR 2018); with `interlace` its
output channels are shuffled so that the next grouped layer sees all groups. Padding is 'same' (zeros); an even k pads
one more at the right and bottom. With bias, as in ConvMixer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_space import cdg, costs
from search_space.costs import Cost, Size
from search_space.mixers.base import MIXERS, Mixer, must_divide

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class Conv(Mixer):
    """Convolution, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        k: kernel size, any, even too.
        groups: "depthwise" (one group a channel), or the number of groups; 1 is a dense convolution.
        interlace: shuffle the output channels among the groups.
    """

    name: ClassVar[str] = "conv"
    k: Annotated[int, Field(ge=1)] = 7
    groups: Literal["depthwise"] | Annotated[int, Field(ge=1)] = "depthwise"
    interlace: bool = False

    def check(self, width: int, size: Size) -> None:
        must_divide("groups", self.num_groups(width), "width", width)

    def canonical(self, width: int, size: Size) -> Conv:
        """`groups == width` is "depthwise"; shuffling among 1 or `width` groups changes nothing."""
        groups = self.num_groups(width)
        return Conv(
            k=self.k, groups="depthwise" if groups == width else groups, interlace=self.interlace and 1 < groups < width
        )

    def num_groups(self, width: int) -> int:
        """The number of groups at `width`."""
        return width if self.groups == "depthwise" else self.groups

    def graph(self, width: int) -> cdg.ChannelGraph:
        groups = self.num_groups(width)
        graph = cdg.grouped(width, width, groups)
        return graph.then(cdg.interlaced(width, groups)) if self.interlace else graph

    def cost(self, width: int, size: Size) -> Cost:
        return costs.conv(width, width, self.k, size, self.num_groups(width))

    def build(self, width: int, size: Size) -> nn.Module:
        from search_space.layers.conv import SameConv

        return SameConv(width, self.k, self.num_groups(width), interlace=self.interlace)
