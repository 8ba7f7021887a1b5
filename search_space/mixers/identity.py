"""identity: no mixing of positions, the control of MetaFormer (Yu et al., 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from search_space import channel_graph as cdg
from search_space.costs import Map, Size, Tape
from search_space.mixers.base import MIXERS, Mixer

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class Identity(Mixer):
    """Identity, `(B, C, H, W) -> (B, C, H, W)`; no options."""

    name: ClassVar[str] = "identity"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: Map, tape: Tape) -> Map:
        return x

    def build(self, width: int, size: Size) -> nn.Module:
        from torch import nn

        return nn.Identity()
