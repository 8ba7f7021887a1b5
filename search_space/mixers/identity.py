"""identity: no mixing of positions, the control of MetaFormer (Yu et al., 2022)."""

from __future__ import annotations

from typing import ClassVar

from search_space import channel_graph as cdg
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class IdentitySpec(TokenMixerSpec):
    """Identity, `(B, C, H, W) -> (B, C, H, W)`; no options."""

    name: ClassVar[str] = "identity"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        return x
