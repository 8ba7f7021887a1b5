"""The 1x1 convolution of `search_space/channel_mixers/pointwise.py`."""

from __future__ import annotations

from torch import nn

from search_space.channel_mixers.pointwise import PointwiseSpec
from search_space.modules.builders import builds


@builds(PointwiseSpec)
def build_pointwise(spec: PointwiseSpec, width: int, act: str, out: int | None) -> nn.Module:
    return nn.Conv2d(width, out or width, 1, groups=spec.groups, bias=spec.bias)
