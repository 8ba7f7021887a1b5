"""Images of another size: which parameters are bound to the map size, and how they are interpolated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch.nn.functional as F
from torch import nn

from search_space.architecture import Architecture
from search_space.errors import SpaceError
from search_space.modules.precision import at_least_single
from search_space.modules.size_bound import Resizing, SizeBound, plan_resizing, resize
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

    The position embedding as timm does it (bicubic, antialiased), mixers by their own rules. Modules stay the same objects; see
    `size_bound.py` for what stays of a parameter.

    Raises:
        SpaceError: a mixer cannot be interpolated.
        ValueError: a parameter that must change is computed from others (parametrized or pruned).
    """
    resizings: list[Resizing] = []
    for index, stage in enumerate(stages):
        is_bound = before.stages[index].mixer.is_bound_to_size
        for block, old, size in zip(stage.blocks, _maps(before, index), _maps(after, index), strict=True):
            mixer = cast(nn.Module, block.mixer)
            if size != old and (is_bound or isinstance(mixer, SizeBound)):
                with _within(f"stages[{index}].mixer"):
                    resizings.append(plan_resizing(mixer, size))
    if stem.pos_embed is not None and stem_size(before) != stem_size(after):
        with _within("stem"):
            maps = at_least_single(stem.pos_embed.detach())
            maps = F.interpolate(maps, size=stem_size(after), mode="bicubic", antialias=True)
            resizings.append(Resizing(stem, {"pos_embed": maps}))
    resize(resizings)


@contextmanager
def _within(place: str) -> Iterator[None]:
    """Let errors name the `place`."""
    try:
        yield
    except SpaceError as error:
        raise error.at(place) from None
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None
