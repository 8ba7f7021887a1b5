"""Why a search space is empty: the first thing that nothing satisfies, in words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search_space.blocks import BlockShape
from search_space.errors import EmptySpaceError, SpaceError

if TYPE_CHECKING:
    from search_space.spaces.space import SearchSpace


def why_empty(space: SearchSpace) -> SpaceError:
    """The error of a `space` without any architecture; it follows the least number of stages in their first layout."""
    counter, stem = space.counter, space.stem
    height, width = space.image_size
    stems = [stem for stem in space.stems if height % stem.patch == 0 and width % stem.patch == 0]
    if not stems:
        return EmptySpaceError("stem.patch", f"must divide the image {height}x{width}", list(stem.patch))
    n = min(space.stage_counts)
    layout = space.layouts(n)[0]
    entries = counter.first(layout, stems[0].patch, stems[0].ratio)
    if not entries:
        return EmptySpaceError("stem.ratio", "times a width of the first stage must be whole", list(stem.ratio))
    for index in range(n):
        fitting = [entry for entry in entries if counter.stage(index, entry)]
        error = None if fitting else _first_error(space, index, entries)
        if error is not None:
            return error
        if index + 1 < n:
            following = (counter.next(layout, index + 1, entry.width, entry.size) for entry in fitting)
            entries = tuple(dict.fromkeys(itertools.chain.from_iterable(following)))
    if layout == "isotropic":
        return EmptySpaceError("stages", "no width of the first stage fits all stages of the isotropic layout")
    return EmptySpaceError("stages", "one at least must halve the map in the pyramid layout (see downsample)")


def _first_error(space: SearchSpace, index: int, entries: Sequence[BlockShape]) -> SpaceError | None:
    """Why stage `index` fits none of `entries`."""
    for entry in entries:
        error = space.stages[index].first_error(entry)
        if error is not None:
            cause, (height, width) = error.at(f"stages[{index}]"), entry.size
            return EmptySpaceError(cause.place, f"nothing fits a map of {height}x{width}: {cause.rule}", cause.value)
    return None
