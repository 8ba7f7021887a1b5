"""single: `x = x + c(norm2 m(norm1 x))` (GFNet; Rao et al., NeurIPS 2021)."""

from __future__ import annotations

from typing import ClassVar

from search_space.residual_forms.base import RESIDUAL_FORMS, BlockLayers, ResidualForm
from search_space.tape import FeatureMap


class SingleResidual(ResidualForm):
    """One residual branch through both mixers."""

    name: ClassVar[str] = "single"
    branches: ClassVar[int] = 1

    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        y = layers.token_mixer(layers.norm(x))
        return layers.residual_sum(x, layers.channel_mixer(layers.norm(y)))


RESIDUAL_FORMS.register(SingleResidual())
