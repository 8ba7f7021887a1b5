"""attention: multi-head self-attention over all positions (ViT; Dosovitskiy et al., 2021), or among fewer of them:

- in windows (Swin; Liu et al., 2021): each `window` x `window` block attends within itself, with a learned bias for each
  relative position (query minus key) and head; the map is padded with zeros at the right and bottom. With a shift, the map
  rolls by -(window // 2) first and back afterwards, and positions that are not neighbours are masked by -100; an
  axis that one window covers is not shifted;
- with fewer keys and values: from LN(Conv_{r, stride r}(x)) (`kv_reduction`; PVT, Wang et al., 2021), or from
  gelu(LN(Conv_1x1(adaptive average pooling of x to p x p))) (`kv_pool`; the linear attention of PVTv2).

`softmax(q k^T / sqrt(head_dim)) v`, heads side by side, then an output projection; qkv rows ordered (3, heads, head_dim).
Parameters are named and laid out as in timm's ViT, Swin and PVTv2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec, check_divides
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class AttentionSpec(TokenMixerSpec):
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
        check_divides("heads", self.heads, "width", width)
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

    def canonical(self, width: int, size: Size) -> AttentionSpec:
        """Windows that do not move on a map of `size` are not shifted."""
        moves = self.window is not None and any(axis_shift(self.window, side) for side in size)
        return self if moves or self.shift == "none" else self.replace(shift="none")

    def for_block(self, index: int) -> AttentionSpec:
        """With "alternate", the windows of every second block are shifted."""
        return _with_shift(self, "always" if index % 2 else "none") if self.shift == "alternate" else self

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        if self.window is not None:
            return self._trace_windows(x, tape, self.window)
        width, queries, keys = x.width, x.positions, x.positions
        if x.has_token_view:
            tape.save(x)
        else:
            tape.add(saved=x.numel)  # a copy
        if self.kv_pool is not None or self.kv_reduction > 1:
            keys = self._trace_reduction(x, tape)
        tape.linear(width, width, queries)
        tape.linear(width, 2 * width, keys)
        tape.linear(width, width, queries)  # the output's
        # q, k, v, the output, and for each query and head the logarithm of its sum
        saved = (queries + 2 * keys) * width + queries * width + queries * self.heads
        tape.add(macs=2 * queries * keys * width, saved=saved)
        return FeatureMap(width, x.size, channels_last=True)

    def _trace_reduction(self, x: FeatureMap, tape: Tape) -> int:
        """Record the reduction of keys and values; returns their number."""
        if self.kv_pool is None:
            reduced = (x.size[0] // self.kv_reduction, x.size[1] // self.kv_reduction)
            y = tape.norm("layer", tape.conv(x, x.width, self.kv_reduction, reduced))
        else:
            if self.kv_pool > 1:  # the mean of a whole map saves nothing
                tape.save(x)
            pooled = FeatureMap(x.width, (self.kv_pool, self.kv_pool), x.channels_last)
            y = tape.act("gelu", tape.norm("layer", tape.conv(pooled, x.width)))
        tape.save(y)
        return y.positions

    def _trace_windows(self, x: FeatureMap, tape: Tape, window: int) -> FeatureMap:
        area, columns = window * window, -(-x.size[1] // window)
        tokens = -(-x.size[0] // window) * columns * area  # padding included
        numel, weights = tokens * x.width, tokens * area * self.heads
        moves = self.shift == "always" and any(axis_shift(window, side) for side in x.size)
        tokens_are_view = x.has_token_view and (columns == 1 or window == 1)
        if tokens_are_view and not moves and tokens == x.positions:
            tape.save(x)
        else:
            tape.add(saved=numel)  # a copy
        tape.linear(x.width, 3 * x.width, tokens)
        tape.linear(x.width, x.width, x.positions)
        tape.add(macs=2 * tokens * area * x.width, params=(2 * window - 1) ** 2 * self.heads)
        # The scaled q, k and v (copies for several heads; for one head views, with q), and the input of the output projection.
        tape.add(saved=(3 if self.heads > 1 else 4) * numel + x.numel)
        tape.add(saved=2 * weights if moves else weights)  # masked logits are clamped, which saves them too
        return FeatureMap(x.width, x.size, channels_last=True)


@lru_cache(maxsize=4096)
def _with_shift(mixer: AttentionSpec, shift: str) -> AttentionSpec:
    return mixer.replace(shift=shift)


def axis_shift(window: int, side: int) -> int:
    """How far windows move along an axis: half a window, or nothing where one window covers the `side`."""
    return window // 2 if side > window else 0
