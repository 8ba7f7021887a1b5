"""Which maps of a network are its features, in timm's sense.

Feature i is the output of stage i where there are several stages, and of block i where there is one, as in timm's pyramids
and isotropic models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search_space.architecture import Architecture


def by_block(architecture: Architecture) -> bool:
    """True if each block gives a feature, rather than each stage."""
    return len(architecture.stages) == 1


def feature_info(architecture: Architecture) -> list[dict[str, Any]]:
    """Timm's `feature_info`: channels, reduction and module of each feature."""
    features, reduction = [], architecture.stem.patch
    for index, stage in enumerate(architecture.stages):
        reduction *= stage.downsample
        blocks = [f".blocks.{block}" for block in range(stage.depth)] if by_block(architecture) else [""]
        modules = [f"stages.{index}{block}" for block in blocks]
        features += [{"num_chs": stage.width, "reduction": reduction, "module": module} for module in modules]
    return features


def feature_indices(indices: int | Sequence[int] | None, count: int) -> list[int]:
    """The indices from 0 to `count` - 1 that `indices` selects, in order: the last n for a number, all for None."""
    if indices is None or isinstance(indices, int):
        last = count if indices is None else indices
        if not 0 < last <= count:
            raise ValueError(f"indices: as a number, must be within 1 to {count}, found {last}")
        return list(range(count - last, count))
    for index in indices:
        if not -count <= index < count:
            raise ValueError(f"indices: must be within {-count} to {count - 1}, found {index}")
    if not indices:
        raise ValueError("indices: must not be empty")
    return sorted({index % count for index in indices})
