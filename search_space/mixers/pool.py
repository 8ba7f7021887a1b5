"""pool: average pooling minus the input (PoolFormer; Yu et al., "MetaFormer Is Actually What You Need for Vision", 2022).

`avgpool_k(x) - x`, stride 1, padding not counted (`count_include_pad=False`): the mean at the border is that of fewer pixels,
as in PoolFormer's code and in timm. No parameters.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class PoolSpec(TokenMixerSpec):
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

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        tape.save(x)
        return x.like()
