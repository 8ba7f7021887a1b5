"""pre_norm: `x = x + m(norm1 x); x = x + c(norm2 x)` (ViT; Dosovitskiy et al., 2021; MetaFormer; Yu et al., 2022)."""

from __future__ import annotations

from typing import ClassVar

from search_space.residual_forms.base import RESIDUAL_FORMS, BlockLayers, ResidualForm
from search_space.tape import FeatureMap


class PreNorm(ResidualForm):
    """Two residual branches, each with its norm first."""

    name: ClassVar[str] = "pre_norm"
    branches: ClassVar[int] = 2

    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        x = layers.residual_sum(x, layers.token_mixer(layers.norm(x)))
        return layers.residual_sum(x, layers.channel_mixer(layers.norm(x)))


RESIDUAL_FORMS.register(PreNorm())
