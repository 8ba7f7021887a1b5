"""plain: `x = norm1(m x); x = act(norm2(c x))` (clcNet; Zhang, CVPR 2018)."""

from __future__ import annotations

from typing import ClassVar

from search_space.residual_forms.base import RESIDUAL_FORMS, BlockLayers, ResidualForm
from search_space.tape import FeatureMap


class Plain(ResidualForm):
    """No residual branch; a block may change map and width."""

    name: ClassVar[str] = "plain"
    branches: ClassVar[int] = 0
    may_change_shape: ClassVar[bool] = True

    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        y = layers.norm(layers.token_mixer(x))
        return layers.act(layers.norm(layers.channel_mixer(y)))


RESIDUAL_FORMS.register(Plain())
