"""attention: multi-head self-attention over all positions (ViT; Dosovitskiy et al., 2021), or among fewer of them:

- in windows (Swin; Liu et al., 2021): each `window` x `window` block attends within itself, with a learned bias for each
  relative position (query minus key) and head; the map is padded with zeros at the right and bottom. With a shift, the map
  rolls by -(window // 2) first and back afterwards, and what is no neighbour is masked by -100; along an axis
  that the window covers nothing is shifted;
- with fewer keys and values: from LN(Conv_{r, stride r}(x)) (`kv_reduction`; PVT, Wang et al., 2021), or from
  gelu(LN(Conv_1x1(adaptive average pooling of x to p x p))) (`kv_pool`; the linear attention of PVTv2).

`softmax(q k^T / sqrt(head_dim)) v`, heads side by side, then an output projection; qkv rows ordered (3, heads, head_dim).
Parameters are named and laid out as in timm's ViT, Swin and PVTv2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

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
        kv_pool: side of the map of keys and values after pooling; None: no pooling.
        window: side of the windows; None: every position attends to all.
        shift: which blocks of a stage shift their windows: "none", "alternate" (every second, as Swin does) or "always".
    """

    name: ClassVar[str] = "attention"
    heads: Annotated[int, Field(ge=1)] = 4
    kv_reduction: Annotated[int, Field(ge=1)] = 1
    kv_pool: Annotated[int, Field(ge=1)] | None = None
    window: Annotated[int, Field(ge=1)] | None = None
    shift: Literal["none", "alternate", "always"] = "none"

    def check(self, width: int, size: Size) -> None:
        must_divide("heads", self.heads, "width", width)
        for option in ("kv_reduction", "kv_pool", "window"):
            value = getattr(self, option)
            if value is not None and value > min(size):
                raise ArchitectureError(option, f"must not exceed the map {size[0]}x{size[1]}", value)
        if self.window is None and self.shift != "none":
            raise ArchitectureError("shift", "needs a window to shift", self.shift)
        if self.window is not None and self.kv_reduction > 1:
            raise ArchitectureError(
                "kv_reduction", f"must be 1 in windows (window is {self.window})", self.kv_reduction
            )
        if self.window is not None and self.kv_pool is not None:
            raise ArchitectureError("kv_pool", f"must be null in windows (window is {self.window})", self.kv_pool)
        if self.kv_pool is not None and self.kv_reduction > 1:
            raise ArchitectureError("kv_pool", f"must be null where kv_reduction is {self.kv_reduction}", self.kv_pool)

    def canonical(self, width: int, size: Size) -> Attention:
        """Windows that do not move on a map of `size` have no shift."""
        moves = self.window is not None and any(axis_shift(self.window, side) for side in size)
        return self if moves or self.shift == "none" else self.changed(shift="none")

    def at(self, index: int) -> Attention:
        """Of blocks that alternate, the first, third, ... stay and the others shift."""
        return self.changed(shift="always" if index % 2 else "none") if self.shift == "alternate" else self

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def cost(self, width: int, size: Size) -> Cost:
        queries = size[0] * size[1]
        if self.window is not None:
            return self._window_cost(width, size, self.window)
        total = costs.linear(width, width, queries) * 2  # queries and output
        keys = queries
        if self.kv_pool is not None:
            keys = self.kv_pool**2
            total = total + costs.linear(width, width, keys) + costs.norm(width)
        elif self.kv_reduction > 1:
            reduced = (size[0] // self.kv_reduction, size[1] // self.kv_reduction)
            keys = reduced[0] * reduced[1]
            total = total + costs.conv(width, width, self.kv_reduction, reduced) + costs.norm(width)
        return total + costs.linear(width, 2 * width, keys) + Cost(macs=2 * queries * keys * width)

    def _window_cost(self, width: int, size: Size, window: int) -> Cost:
        area = window * window
        tokens = -(-size[0] // window) * -(-size[1] // window) * area  # with those of the padding
        bias = Cost(params=(2 * window - 1) ** 2 * self.heads)
        products = Cost(macs=2 * tokens * area * width)
        return costs.linear(width, 3 * width, tokens) + costs.linear(width, width, size[0] * size[1]) + products + bias

    def build(self, width: int, size: Size) -> nn.Module:
        """The module; of windows that alternate, that of the first block."""
        from search_space.layers.attention import ReducedAttention, SelfAttention, WindowAttention

        if self.window is not None:
            return WindowAttention(width, size, self.heads, self.window, shifted=self.shift == "always")
        if self.kv_pool is not None or self.kv_reduction > 1:
            return ReducedAttention(width, self.heads, self.kv_reduction, self.kv_pool)
        return SelfAttention(width, self.heads)


def axis_shift(window: int, side: int) -> int:
    """How far windows move along an axis: half a window, or nothing where one window covers the `side`."""
    return window // 2 if side > window else 0
