"""search_space: what an architecture is, what it costs, and the module it describes.

    from search_space import Architecture, SearchSpace, build, cost, mixers

Descriptions, spaces and costs need no torch; `build` imports it when called. Importing this package makes the timm
entrypoint `mixfront` known, now or as soon as timm is imported (`search_space/timm_support/entrypoint.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_space import mixers, presets
from search_space.architecture import Architecture, Stage
from search_space.costs import Cost, cost
from search_space.macro import Downsampling, Head, Stem
from search_space.spaces.space import SearchSpace
from search_space.timm_support.entrypoint import register_when_imported

if TYPE_CHECKING:
    from search_space.modules.network import build

register_when_imported()


def __getattr__(name: str) -> Any:
    if name == "build":
        from search_space.modules.network import build

        return build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Architecture",
    "Cost",
    "Downsampling",
    "Head",
    "SearchSpace",
    "Stage",
    "Stem",
    "build",
    "cost",
    "mixers",
    "presets",
]
