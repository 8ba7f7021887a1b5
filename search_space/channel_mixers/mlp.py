"""mlp: two pointwise layers with an activation between, each possibly in groups, interlaced (clcNet; Zhang, CVPR 2018).

`fc2(interlace(act(fc1 x)))`, hidden L = expansion * C channels, g1 groups in `fc1` and g2 in `fc2`. The pair reaches every
channel if and only if g1*g2 <= L. Groups (1, 1) are the MLP of ViT and MetaFormer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, Strict

from search_space import cdg, costs
from search_space.channel_mixers.base import CHANNEL_MIXERS, ChannelMixer
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError

if TYPE_CHECKING:
    from torch import nn

KEYWORDS = ("full", "cheapest")
Groups = Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], Strict(False)]


@CHANNEL_MIXERS.register
class MLP(ChannelMixer):
    """Two pointwise layers, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        expansion: hidden channels over channels; `expansion * C` must be whole.
        groups: (g1, g2), groups of the first and the second layer.
    """

    name: ClassVar[str] = "mlp"
    expansion: Annotated[float, Field(gt=0)] = 4.0
    groups: Groups = (1, 1)

    def hidden(self, width: int) -> int:
        """Hidden channels L at `width`."""
        return max(1, round(self.expansion * width))

    def check(self, width: int) -> None:
        # Up to rounding: in floating point 1.1 * 50 is not quite 55.
        if not math.isclose(self.hidden(width), self.expansion * width, rel_tol=1e-12):
            raise ArchitectureError("expansion", f"times the width {width} must be whole", self.expansion)
        hidden = self.hidden(width)
        for g, index in zip(self.groups, (0, 1), strict=True):
            if width % g or hidden % g:
                rule = f"must divide the width {width} and the hidden channels {hidden}"
                raise ArchitectureError(f"groups[{index}]", rule, g)

    def check_reach(self, width: int, before: cdg.ChannelGraph) -> None:
        if self.reaches(width, before):
            return
        g1, g2 = self.groups
        rule = f"g1*g2 must not exceed the {self.hidden(width)} hidden channels (the token mixer is not dense)"
        if g1 * g2 <= self.hidden(width):
            super().check_reach(width, before)
        raise ArchitectureError("groups", rule, f"{g1}*{g2} = {g1 * g2}")

    def reaches(self, width: int, before: cdg.ChannelGraph) -> bool:
        """True if every output depends on every input of a token mixer of graph `before` followed by this."""
        g1, g2 = self.groups
        if g1 * g2 <= self.hidden(width):
            return bool(before.matrix.any(axis=0).all())  # full behind anything that drops no channel
        return _full_behind(before, width, self.hidden(width), g1, g2)

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.grouped_pair(width, self.hidden(width), width, *self.groups)

    def cost(self, width: int, size: Size) -> Cost:
        hidden = self.hidden(width)
        return costs.conv(width, hidden, 1, size, self.groups[0]) + costs.conv(hidden, width, 1, size, self.groups[1])

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
    def variants(cls, options: Mapping[str, tuple[Any, ...]], width: int) -> list[Self]:
        """All combinations; "full" stands for every pair with g1*g2 <= L, "cheapest" for the one of fewest MACs."""
        found = []
        for expansion in options.get("expansion", (cls.model_fields["expansion"].default,)):
            hidden = cls(expansion=expansion).hidden(width)
            for choice in options.get("groups", ((1, 1),)):
                if choice == "full":
                    pairs = cdg.group_pairs(width, hidden, width)
                elif choice == "cheapest":
                    pairs = (cdg.cheapest_groups(width, hidden, width),)
                else:
                    pairs = (choice,)
                found += [cls(expansion=expansion, groups=groups) for groups in pairs]
        return found

    def build(self, width: int, act: str) -> nn.Module:
        from search_space.layers.mlp import InterlacedMLP

        return InterlacedMLP(width, self.hidden(width), self.groups, act)


@lru_cache(maxsize=4096)
def _full_behind(before: cdg.ChannelGraph, width: int, hidden: int, g1: int, g2: int) -> bool:
    return before.then(cdg.grouped_pair(width, hidden, width, g1, g2)).is_full
