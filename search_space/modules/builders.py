"""Which module a description builds: modules know their descriptions, never the reverse.

    @builds(ConvSpec)
    def build_conv(spec: ConvSpec, width: int, size: Size) -> nn.Module: ...

    @builds(PreNorm)
    class PreNormBlock(nn.Module):
        def __init__(self, stage: Stage, shape: BlockShape) -> None: ...

A builder of a token mixer takes `(spec, width, size)`, of a channel mixer `(spec, width, act, out)` and of a residual form
`(stage, shape)`. The files of this package are imported when something is built for the first time.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from torch import nn

from search_space.channel_mixers import ChannelMixerSpec
from search_space.mixers import TokenMixerSpec
from search_space.shapes import Size

B = TypeVar("B", bound=Callable[..., nn.Module])

_BUILDERS: dict[tuple[type, int], Callable[..., nn.Module]] = {}


def builds(description: type, stride: int = 1) -> Callable[[B], B]:
    """Decorator of a function or class that builds the module of `description`.

    Args:
        description: the class of the description.
        stride: 2 for the second module of a token mixer that can halve the map itself.

    Raises:
        ValueError: the description already has a builder.
    """

    def register(builder: B) -> B:
        if (description, stride) in _BUILDERS:
            raise ValueError(f"a builder of {description.__name__} with stride {stride} already exists")
        _BUILDERS[description, stride] = builder
        return builder

    return register


def unregister_builder(description: type, stride: int = 1) -> None:
    """Remove the builder of `description`."""
    del _BUILDERS[description, stride]


def builder_of(description: type) -> Callable[..., nn.Module]:
    """The builder of `description`.

    Raises:
        LookupError: there is none.
    """
    builder = _find(description, 1)
    if builder is None:
        raise LookupError(f"no module is registered for {description.__name__} (see search_space/modules/builders.py)")
    return builder


def build_token_mixer(spec: TokenMixerSpec, width: int, size: Size) -> nn.Module:
    """The module of a token mixer, `(B, C, H, W) -> (B, C, H, W)`, for C = `width` and (H, W) = `size`."""
    return builder_of(type(spec))(spec, width, size)


def build_strided_token_mixer(spec: TokenMixerSpec, width: int, size: Size) -> nn.Module | None:
    """The module with a stride of 2, `(B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))`; None where the mixer has no stride."""
    builder = _find(type(spec), 2)
    return None if builder is None else builder(spec, width, size)


def build_channel_mixer(spec: ChannelMixerSpec, width: int, act: str, out: int | None = None) -> nn.Module:
    """The module of a channel mixer with activation `act`, `(B, C, H, W) -> (B, out, H, W)`; `out` None: C = `width`."""
    return builder_of(type(spec))(spec, width, act, out)


def _find(description: type, stride: int) -> Callable[..., nn.Module] | None:
    if (description, stride) not in _BUILDERS:
        _import_modules()
    return _BUILDERS.get((description, stride))


@cache
def _import_modules() -> None:
    """Import every file of this package, each of which registers its builders."""
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
