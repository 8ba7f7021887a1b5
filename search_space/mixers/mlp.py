"""mlp: a two-layer network over the positions, the same for every channel (MLP-Mixer; Tolstikhin et al., NeurIPS 2021).

`W2 gelu(W1 x + b1) + b2` on the N = H*W positions (row-major) of each channel, with `int(ratio * C)` hidden units. Its
matrices are bound to the map size. Parameters are named and laid out as the token `Mlp` of timm's `MixerBlock`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.costs import Map, Size, Tape
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, Mixer

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class TokenMLP(Mixer):
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

    def canonical(self, width: int, size: Size) -> TokenMLP:
        """Ratios that round down to the same number of hidden units are one: that number over the width."""
        hidden = self.hidden(width)
        ratio = hidden / width
        return TokenMLP(ratio=ratio if int(ratio * width) == hidden else math.nextafter(ratio, math.inf))

    @property
    def map_bound(self) -> bool:
        return True

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: Map, tape: Tape) -> Map:
        hidden = self.hidden(x.width)
        if x.by_channels:
            tape.keep(x)
        else:
            tape.add(kept=x.numbers)  # a copy
        tape.linear(x.positions, hidden, x.width)
        tape.linear(hidden, x.positions, x.width)
        tape.add(kept=2 * hidden * x.width)  # before and behind the activation
        return Map(x.width, x.size)

    def build(self, width: int, size: Size) -> nn.Module:
        from search_space.modules.token_mlp import TokenMLP

        return TokenMLP(size, self.hidden(width))
