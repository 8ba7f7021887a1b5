"""separable_conv: an inverted separable convolution (MobileNetV2; Sandler et al., CVPR 2018), the token mixer of ConvFormer
(Yu et al., "MetaFormer Baselines for Vision", 2022).

`PW_out(DW_k(act(PW_in x)))` with `expansion * C` channels inside, no biases, zero padding that keeps the map (an even k
pads one more at the right and bottom). StarReLU is `s * relu(x)^2 + b`, s and b learned scalars.
Parameters are named and laid out as in timm's `SepConv`.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class SeparableConvSpec(TokenMixerSpec):
    """Inverted separable convolution, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        k: kernel size of the depthwise convolution.
        expansion: inner channels over channels; `expansion * C` must be whole.
        act: activation before the depthwise convolution: "star_relu", "relu" or "gelu".
    """

    name: ClassVar[str] = "separable_conv"
    k: Annotated[int, Field(ge=1)] = 7
    expansion: Annotated[float, Field(gt=0)] = 2.0
    act: Literal["star_relu", "relu", "gelu"] = "star_relu"

    def hidden(self, width: int) -> int:
        """Inner channels at `width`."""
        return max(1, round(self.expansion * width))

    def check(self, width: int, size: Size) -> None:
        # Up to rounding: in floating point 1.1 * 50 is not quite 55.
        if not math.isclose(self.hidden(width), self.expansion * width, rel_tol=1e-12):
            raise ArchitectureError("expansion", f"times the width {width} must be whole", self.expansion)

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        hidden, uneven = self.hidden(x.width), 1 - self.k % 2
        y = tape.act("relu" if self.act == "star_relu" else self.act, tape.conv(x, hidden, bias=False))
        if self.act == "star_relu":
            tape.add(params=2, saved=y.numel)  # the squares, for the gradient of the scale
            y = y.like()
        y = tape.conv(tape.pad(y, uneven, uneven), hidden, self.k, x.size, groups=hidden, bias=False)
        return tape.conv(y, x.width, bias=False)
