"""Images of another size: which parameters are bound to the map size, and how they are interpolated."""

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
    """The place of the first part that binds a network to its image size, such as `stem.pos_embed`; empty if there is none."""
    if architecture.stem.pos_embed:
        return "stem.pos_embed"
    places = (
        f"stages[{index}].mixer" for index, stage in enumerate(architecture.stages) if stage.mixer.is_bound_to_size
    )
    return next(places, "")


def _maps(architecture: Architecture, index: int) -> list[Size]:
    """The map size of the token mixer's input in each block of a stage."""
    stage = architecture.stages[index]
    return [shape.size_before for shape in stage.block_shapes(architecture.stage_inputs[index])]


def stem_size(architecture: Architecture) -> Size:
    """The map size (height, width) of the stem's output."""
    height, width = architecture.image_size
    return (height // architecture.stem.patch, width // architecture.stem.patch)


def change_input_size(stem: Stem, stages: Sequence[NetworkStage], before: Architecture, after: Architecture) -> None:
    """Interpolate the parameters that are bound to the maps of `before` to those of `after`; nothing is changed on an error.

    The position embedding as timm does it (bicubic, antialiased), mixers by their own `for_size`.

    Raises:
        SpaceError: a mixer cannot be interpolated.
    """
    resized: list[tuple[nn.Module, nn.Module]] = []
    for index, stage in enumerate(stages):
        if not before.stages[index].mixer.is_bound_to_size:
            continue
        blocks = zip(stage.blocks, _maps(before, index), _maps(after, index), strict=True)
        try:
            resized += [(block, cast(Any, block).mixer.for_size(size)) for block, old, size in blocks if size != old]
        except SpaceError as error:
            raise error.at(f"stages[{index}].mixer") from None
    for block, mixer in resized:
        block.mixer = mixer
    if stem.pos_embed is not None and stem_size(before) != stem_size(after):
        maps = F.interpolate(stem.pos_embed.detach().float(), size=stem_size(after), mode="bicubic", antialias=True)
        stem.pos_embed = nn.Parameter(maps.to(stem.pos_embed.dtype))
