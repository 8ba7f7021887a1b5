"""pool: average pooling minus the input (PoolFormer; Yu et al., "MetaFormer Is Actually What You Need for Vision", 2022).

`avgpool_k(x) - x`, stride 1, padding not counted; no parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.costs import Map, Size, Tape
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, Mixer

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class Pool(Mixer):
    """Pooling, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        k: side of the window, odd.
    """

    name: ClassVar[str] = "pool"
    k: Annotated[int, Field(ge=3)] = 3

    def check(self, width: int, size: Size) -> None:
        if self.k % 2 == 0:
            raise ArchitectureError("k", "must be odd", self.k)

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: Map, tape: Tape) -> Map:
        tape.keep(x)
        return x.like()

    def build(self, width: int, size: Size) -> nn.Module:
        from search_space.modules.pool import Pooling

        return Pooling(self.k)
