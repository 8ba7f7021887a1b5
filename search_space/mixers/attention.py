"""attention: multi-head self-attention over all positions (ViT; Dosovitskiy et al., 2021), keys and values optionally
reduced by a strided convolution (PVT; Wang et al., 2021).

`softmax(q k^T / sqrt(head_dim)) v`, heads side by side, then an output projection; qkv rows ordered (3, heads, head_dim).
With `kv_reduction` r > 1: keys and values come from LN(Conv_{r, stride r}(x)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from search_space import cdg, costs
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, Mixer, must_divide

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class Attention(Mixer):
    """Self-attention, `(B, C, H, W) -> (B, C, H, W)`; H*W tokens.

    Args:
        heads: number of heads; divides the width.
        kv_reduction: side of the squares of positions that share one key and value; 1 keeps them all.
    """

    name: ClassVar[str] = "attention"
    heads: Annotated[int, Field(ge=1)] = 4
    kv_reduction: Annotated[int, Field(ge=1)] = 1

    def check(self, width: int, size: Size) -> None:
        must_divide("heads", self.heads, "width", width)
        if self.kv_reduction > min(size):
            raise ArchitectureError("kv_reduction", f"must not exceed the map {size[0]}x{size[1]}", self.kv_reduction)

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def cost(self, width: int, size: Size) -> Cost:
        queries = size[0] * size[1]
        r = self.kv_reduction
        reduced = (size[0] // r, size[1] // r)
        keys = reduced[0] * reduced[1]
        total = costs.linear(width, width, queries) + costs.linear(width, 2 * width, keys)
        if r > 1:
            total = total + costs.conv(width, width, r, reduced) + costs.norm(width)
        return total + Cost(macs=2 * queries * keys * width) + costs.linear(width, width, queries)

    def build(self, width: int, size: Size) -> nn.Module:
        from search_space.layers.attention import ReducedAttention, SelfAttention

        if self.kv_reduction > 1:
            return ReducedAttention(width, self.heads, self.kv_reduction)
        return SelfAttention(width, self.heads)
