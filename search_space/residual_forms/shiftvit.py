"""shiftvit: `x = m(x); x = x + c(norm2 x)` (ShiftViT; Wang et al., AAAI 2022)."""

from __future__ import annotations

from typing import ClassVar

from search_space.residual_forms.base import RESIDUAL_FORMS, BlockLayers, ResidualForm
from search_space.tape import FeatureMap


class ShiftViT(ResidualForm):
    """The token mixer without norm and shortcut, then a residual branch through the channel mixer."""

    name: ClassVar[str] = "shiftvit"
    branches: ClassVar[int] = 1

    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        x = layers.token_mixer(x)
        return layers.residual_sum(x, layers.channel_mixer(layers.norm(x)))


RESIDUAL_FORMS.register(ShiftViT())
