"""search_space: what an architecture is, what it costs, and the module that it describes.

    from search_space import Architecture, SearchSpace, build, cost, mixers, presets

Descriptions, spaces and costs need no torch; `build` imports it when it is first used. Importing this package registers the
timm entrypoint `mixfront`, at once or as soon as timm is imported (`search_space/timm_support/entrypoint.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_space import mixers, presets
from search_space.architecture import Architecture
from search_space.costs import cost, cost_by_part
from search_space.downsampling import DownsamplingSpec
from search_space.head import HeadSpec
from search_space.mixers.base import use_module_builder
from search_space.shapes import Size
from search_space.spaces.space import SearchSpace
from search_space.squeeze_excite import SqueezeExciteSpec
from search_space.stage import Stage
from search_space.stem import StemSpec
from search_space.tape import Cost
from search_space.timm_support.entrypoint import register_when_imported

if TYPE_CHECKING:
    from search_space.modules.network import build

    __version__: str

register_when_imported()


def _build_token_mixer(mixer: mixers.TokenMixerSpec, width: int, size: Size) -> Any:
    from search_space.modules.builders import build_token_mixer  # imports torch

    return build_token_mixer(mixer, width, size)


use_module_builder(_build_token_mixer)


def __getattr__(name: str) -> Any:
    value: object
    if name == "build":
        from search_space.modules import network

        value = network.build
    elif name == "__version__":
        from importlib.metadata import version

        value = version("mixfront")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


__all__ = [
    "Architecture",
    "Cost",
    "DownsamplingSpec",
    "HeadSpec",
    "SearchSpace",
    "SqueezeExciteSpec",
    "Stage",
    "StemSpec",
    "__version__",
    "build",
    "cost",
    "cost_by_part",
    "mixers",
    "presets",
]
