"""mlp: two pointwise layers with an activation between, each possibly in groups, interlaced (clcNet; Zhang, CVPR 2018).

`fc2(interlace(act(fc1 x)))`, hidden L = expansion * C channels, g1 groups in `fc1` and g2 in `fc2`. The pair reaches every
channel if and only if g1*g2 <= L. Groups (1, 1) are the MLP of ViT and MetaFormer. C are the output channels.

In the residual form "bottleneck" a token mixer of L channels comes between the two layers (`check_reach_around`): expansion 1/4
is then ResNet's block, and (g1, g2) groups around a depthwise convolution are ShuffleNet's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, Strict

from search_space import channel_graph as cdg
from search_space.channel_mixers.base import CHANNEL_MIXERS, ChannelMixerSpec, check_full
from search_space.errors import ArchitectureError
from search_space.tape import FeatureMap, Tape

KEYWORDS = ("full", "cheapest")
Groups = Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], Strict(False)]


@CHANNEL_MIXERS.register
class MLPSpec(ChannelMixerSpec):
    """Two pointwise layers, `(B, C, H, W) -> (B, out, H, W)`.

    Args:
        expansion: hidden channels over channels; `expansion * C` must be whole.
        groups: (g1, g2), groups of the first and the second layer.
        bias: whether the layers have a bias.
    """

    name: ClassVar[str] = "mlp"
    expansion: Annotated[float, Field(gt=0)] = 4.0
    groups: Groups = (1, 1)
    bias: bool = True

    def hidden(self, out: int) -> int:
        """Hidden channels L for `out` output channels."""
        return max(1, round(self.expansion * out))

    def check(self, width: int, out: int | None = None) -> None:
        out = out or width
        hidden = self.hidden(out)
        # Up to rounding: in floating point 1.1 * 50 is not quite 55.
        if not math.isclose(hidden, self.expansion * out, rel_tol=1e-12):
            raise ArchitectureError("expansion", f"times the width {out} must be whole", self.expansion)
        for index, (g, channels) in enumerate(zip(self.groups, (width, out), strict=True)):
            if channels % g or hidden % g:
                rule = f"must divide the width {channels} and the hidden channels {hidden}"
                raise ArchitectureError(f"groups[{index}]", rule, g)

    def check_reach(self, width: int, before: cdg.ChannelGraph, out: int | None = None) -> None:
        if self.reaches(width, before, out):
            return
        g1, g2 = self.groups
        hidden = self.hidden(out or width)
        if g1 * g2 <= hidden:
            super().check_reach(width, before, out)
        raise self._unreached(hidden)

    def check_reach_around(self, width: int, inner: cdg.ChannelGraph, out: int) -> None:
        """As `check_reach`, with a token mixer of graph `inner` between the two layers."""
        (g1, g2), hidden = self.groups, self.hidden(out)
        if g1 * g2 <= hidden and inner.matrix.diagonal().all():
            return  # the block then reaches at least what the pair reaches by itself
        block = _graph_around(inner, width, hidden, out, g1, g2)
        if g1 * g2 <= hidden:
            check_full(block)
        elif not block.is_full:
            raise self._unreached(hidden)

    def _unreached(self, hidden: int) -> ArchitectureError:
        g1, g2 = self.groups
        rule = f"g1*g2 must not exceed the {hidden} hidden channels (the token mixer is not dense)"
        return ArchitectureError("groups", rule, f"{g1}*{g2} = {g1 * g2}")

    def reaches(self, width: int, before: cdg.ChannelGraph, out: int | None = None) -> bool:
        """True if every output depends on every input of a token mixer of graph `before` followed by this."""
        (g1, g2), out = self.groups, out or width
        if g1 * g2 <= self.hidden(out):
            return bool(before.matrix.any(axis=0).all())  # full after any token mixer that drops no channel
        return _is_full_after(before, width, self.hidden(out), out, g1, g2)

    def graph(self, width: int, out: int | None = None) -> cdg.ChannelGraph:
        return cdg.grouped_layer_pair(width, self.hidden(out or width), out or width, *self.groups)

    def layers(self, width: int, out: int | None = None) -> tuple[cdg.Layer, ...]:
        out = out or width
        hidden, (g1, g2) = self.hidden(out), self.groups
        shuffle = (cdg.Layer("interlace", cdg.interlace_layer(hidden, g1)),) if g1 > 1 and g2 > 1 else ()
        fc1, fc2 = cdg.grouped_layer(width, hidden, g1), cdg.grouped_layer(hidden, out, g2)
        return (cdg.Layer("fc1", fc1), *shuffle, cdg.Layer("fc2", fc2))

    def trace(self, x: FeatureMap, tape: Tape, act: str, out: int | None = None) -> FeatureMap:
        out = out or x.width
        g1, g2 = self.groups
        y = tape.act(act, tape.conv(x, self.hidden(out), groups=g1, bias=self.bias))
        return tape.conv(tape.interlace(y, g1) if g2 > 1 else y, out, groups=g2, bias=self.bias)

    @classmethod
    def choices(cls, option: str, given: object) -> tuple[Any, ...]:
        """As for every option, but `groups: [2, 4]` is one pair, `groups: [[1, 1], [2, 4]]` are two."""
        if option == "groups" and isinstance(given, list | tuple) and all(isinstance(g, int) for g in given):
            given = [given]
        return super().choices(option, given)

    @classmethod
    def check_choice(cls, option: str, choice: object) -> None:
        """As for every option, but groups may also be "full" or "cheapest"."""
        if not (option == "groups" and choice in KEYWORDS):
            super().check_choice(option, choice)

    @classmethod
    def variants(cls, options: Mapping[str, tuple[Any, ...]], width: int, out: int | None = None) -> list[Self]:
        """All combinations; "full" means every pair with g1*g2 <= L, "cheapest" the pair of fewest MACs."""
        variants = []
        out = out or width
        for expansion in options.get("expansion", (cls.model_fields["expansion"].default,)):
            hidden = cls(expansion=expansion).hidden(out)
            for choice in options.get("groups", ((1, 1),)):
                if choice == "full":
                    pairs = cdg.group_pairs(width, hidden, out)
                elif choice == "cheapest":
                    pairs = (cdg.cheapest_groups(width, hidden, out),)
                else:
                    pairs = (choice,)
                variants += [
                    cls(expansion=expansion, groups=groups, bias=bias)
                    for groups in pairs
                    for bias in options.get("bias", (True,))
                ]
        return variants


@lru_cache(maxsize=4096)
def _is_full_after(before: cdg.ChannelGraph, width: int, hidden: int, out: int, g1: int, g2: int) -> bool:
    return before.then(cdg.grouped_layer_pair(width, hidden, out, g1, g2)).is_full


@lru_cache(maxsize=4096)
def _graph_around(inner: cdg.ChannelGraph, width: int, hidden: int, out: int, g1: int, g2: int) -> cdg.ChannelGraph:
    first = cdg.grouped_layer(width, hidden, g1)
    shuffled = first.then(cdg.interlace_layer(hidden, g1)) if g1 > 1 and g2 > 1 else first
    return shuffled.then(inner).then(cdg.grouped_layer(hidden, out, g2))
