"""mlp: a two-layer network over the positions, the same for every channel (MLP-Mixer; Tolstikhin et al., NeurIPS 2021).

`W2 gelu(W1 x + b1) + b2` on the N = H*W positions (row-major) of each channel, with `int(ratio * C)` hidden units. Its
matrices are bound to the map size. Parameters are named and laid out as the token `Mlp` of timm's `MixerBlock`.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class TokenMLPSpec(TokenMixerSpec):
    """Network over positions, `(B, C, H, W) -> (B, C, H, W)`; for its own map size only.

    Args:
        ratio: hidden units over channels; the product is rounded down.
    """

    name: ClassVar[str] = "mlp"
    ratio: Annotated[float, Field(gt=0)] = 0.5

    def hidden(self, width: int) -> int:
        """Hidden units at `width`."""
        return int(self.ratio * width)

    def check(self, width: int, size: Size) -> None:
        if self.hidden(width) < 1:
            raise ArchitectureError("ratio", f"times the width {width} must be at least 1", self.ratio)

    def canonical(self, width: int, size: Size) -> TokenMLPSpec:
        """Ratios with the same number of hidden units are equal: that number over the width."""
        hidden = self.hidden(width)
        ratio = hidden / width
        return TokenMLPSpec(ratio=ratio if int(ratio * width) == hidden else math.nextafter(ratio, math.inf))

    @property
    def is_bound_to_size(self) -> bool:
        return True

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        hidden = self.hidden(x.width)
        if x.has_channel_view:
            tape.save(x)
        else:
            tape.add(saved=x.numel)  # a copy
        tape.linear(x.positions, hidden, x.width)
        tape.linear(hidden, x.positions, x.width)
        tape.add(saved=2 * hidden * x.width)  # input and output of the activation
        return FeatureMap(x.width, x.size)
