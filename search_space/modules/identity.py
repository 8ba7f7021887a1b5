"""The identity of `search_space/mixers/identity.py`."""

from __future__ import annotations

from torch import nn

from search_space.mixers.identity import IdentitySpec
from search_space.modules.builders import builds
from search_space.shapes import Size


@builds(IdentitySpec)
def build_identity(spec: IdentitySpec, width: int, size: Size) -> nn.Module:
    return nn.Identity()
