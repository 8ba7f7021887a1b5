"""convmixer: `x = x + norm1(act(m x)); x = norm2(act(c x))` (ConvMixer; Trockman & Kolter, 2022)."""

from __future__ import annotations

from typing import ClassVar

from search_space.residual_forms.base import RESIDUAL_FORMS, BlockLayers, ResidualForm
from search_space.tape import FeatureMap


class ConvMixer(ResidualForm):
    """A residual branch through the token mixer alone; norms after the activations."""

    name: ClassVar[str] = "convmixer"
    branches: ClassVar[int] = 1

    def trace(self, layers: BlockLayers, x: FeatureMap) -> FeatureMap:
        x = layers.residual_sum(x, layers.norm(layers.act(layers.token_mixer(x))))
        return layers.norm(layers.act(layers.channel_mixer(x)))


RESIDUAL_FORMS.register(ConvMixer())
