"""Images of another size: what binds a network to its maps, and how that is interpolated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch.nn.functional as F
from torch import nn

from search_space.architecture import Architecture
from search_space.errors import SpaceError
from search_space.modules.stage import NetworkStage
from search_space.modules.stem import Stem
from search_space.shapes import Size


def bound_by(architecture: Architecture) -> str:
    """What binds the network of `architecture` to its image size, as a place; empty where nothing does."""
    if architecture.stem.pos_embed:
        return "stem.pos_embed"
    places = (
        f"stages[{index}].mixer" for index, stage in enumerate(architecture.stages) if stage.mixer.is_bound_to_size
    )
    return next(places, "")


def _maps(architecture: Architecture, index: int) -> list[Size]:
    """The map that the token mixer of each block of a stage works at."""
    stage = architecture.stages[index]
    return [shape.size_before for shape in stage.block_shapes(architecture.stage_inputs[index])]


def of_stem(architecture: Architecture) -> Size:
    """The map size (height, width) behind the stem."""
    height, width = architecture.image_size
    return (height // architecture.stem.patch, width // architecture.stem.patch)


def change(stem: Stem, stages: Sequence[NetworkStage], before: Architecture, after: Architecture) -> None:
    """Interpolate what is bound to the maps of `before` to those of `after`, all of it or, on an error, nothing.

    The position embedding as timm does it (bicubic, with a filter against aliasing), mixers by their own `for_size`.

    Raises:
        SpaceError: a mixer cannot be interpolated.
    """
    resized: list[tuple[nn.Module, nn.Module]] = []
    for index, stage in enumerate(stages):
        if not before.stages[index].mixer.is_bound_to_size:
            continue
        where = zip(stage.blocks, _maps(before, index), _maps(after, index), strict=True)
        try:
            resized += [(block, cast(Any, block).mixer.for_size(size)) for block, old, size in where if size != old]
        except SpaceError as error:
            raise error.at(f"stages[{index}].mixer") from None
    for block, mixer in resized:
        block.mixer = mixer
    if stem.pos_embed is not None and of_stem(before) != of_stem(after):
        maps = F.interpolate(stem.pos_embed.detach().float(), size=of_stem(after), mode="bicubic", antialias=True)
        stem.pos_embed = nn.Parameter(maps.to(stem.pos_embed.dtype))
