"""conv: a k x k convolution, depthwise by default (ConvMixer; Trockman & Kolter, "Patches Are All You Need?", 2022).

`groups` between "depthwise" and 1 gives the grouped convolution of clcNet (Zhang, CVPR 2018); with `interlace` its
output channels are shuffled so that the next grouped layer sees all groups. Padding is 'same' (zeros); an even k pads
one more at the right and bottom. With bias, as in ConvMixer, or without, as where a batch norm follows.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec, check_divides
from search_space.shapes import Size, strided_size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class ConvSpec(TokenMixerSpec):
    """Convolution, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        k: kernel size, any, even too.
        groups: "depthwise" (one group a channel), or the number of groups; 1 is a dense convolution.
        interlace: shuffle the output channels among the groups.
        group_width: channels of each group, which gives the number of groups at any width (ResNeXt); `groups` must then be
            "depthwise", its default.
        bias: whether the convolution has a bias.
    """

    name: ClassVar[str] = "conv"
    k: Annotated[int, Field(ge=1)] = 7
    groups: Literal["depthwise"] | Annotated[int, Field(ge=1)] = "depthwise"
    interlace: bool = False
    group_width: Annotated[int, Field(ge=1)] | None = None
    bias: bool = True

    def check(self, width: int, size: Size) -> None:
        if self.group_width is not None:
            if self.groups != "depthwise":
                rule = f"must be null where groups is {self.groups}"
                raise ArchitectureError("group_width", rule, self.group_width)
            check_divides("group_width", self.group_width, "width", width)
        check_divides("groups", self.num_groups(width), "width", width)

    def canonical(self, width: int, size: Size) -> ConvSpec:
        """`groups == width` is "depthwise"; shuffling among 1 or `width` groups is none; `group_width` becomes `groups`."""
        groups = self.num_groups(width)
        return ConvSpec(
            k=self.k,
            groups="depthwise" if groups == width else groups,
            interlace=self.interlace and 1 < groups < width,
            bias=self.bias,
        )

    def num_groups(self, width: int) -> int:
        """The number of groups at `width`."""
        if self.group_width is not None:
            return width // self.group_width
        return width if self.groups == "depthwise" else self.groups

    def graph(self, width: int) -> cdg.ChannelGraph:
        groups = self.num_groups(width)
        graph = cdg.grouped_layer(width, width, groups)
        return graph.then(cdg.interlace_layer(width, groups)) if self.interlace else graph

    def layers(self, width: int) -> tuple[cdg.Layer, ...]:
        groups = self.num_groups(width)
        conv = cdg.Layer(self.name, cdg.grouped_layer(width, width, groups))
        return (conv, cdg.Layer("interlace", cdg.interlace_layer(width, groups))) if self.interlace else (conv,)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        return self._trace(x, tape, x.size)

    def trace_strided(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        return self._trace(x, tape, strided_size(x.size, 2))

    def _trace(self, x: FeatureMap, tape: Tape, size: Size) -> FeatureMap:
        uneven, groups = 1 - self.k % 2, self.num_groups(x.width)
        y = tape.conv(tape.pad(x, uneven, uneven), x.width, self.k, size, groups, self.bias)
        return tape.interlace(y, groups) if self.interlace else y
