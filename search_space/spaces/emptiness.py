"""Why a search space is empty: an error about the first choice for which nothing fits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from search_space.errors import EmptySpaceError, SpaceError
from search_space.shapes import BlockShape
from search_space.spaces.choices import StemChoices
from search_space.spaces.counting import ArchitectureCounter
from search_space.stem import StemSpec


def explain_empty(
    counter: ArchitectureCounter, choices: StemChoices, stems: Sequence[StemSpec], n: int, layout: str
) -> SpaceError:
    """The error of a space without any architecture, from its architectures of `n` stages in `layout`.

    Args:
        counter: of the space.
        choices: of the stem.
        stems: the stems that the choices describe.
        n: number of stages.
        layout: "pyramid" or "isotropic".
    """
    height, width = counter.image_size
    fitting_stems = [stem for stem in stems if height % stem.patch == 0 and width % stem.patch == 0]
    if not fitting_stems:
        return EmptySpaceError("stem.patch", f"must divide the image {height}x{width}", list(choices.patch))
    shapes = counter.first_shapes(layout, fitting_stems[0].patch, fitting_stems[0].ratio)
    if not shapes:
        return EmptySpaceError("stem.ratio", "times a width of the first stage must be whole", list(choices.ratio))
    for index in range(n):
        fitting = [shape for shape in shapes if counter.stage_variant_count(index, shape)]
        error = None if fitting else _first_error(counter, index, shapes)
        if error is not None:
            return error
        if index + 1 < n:
            following = (counter.next_shapes(layout, index + 1, shape.width, shape.size) for shape in fitting)
            shapes = tuple(dict.fromkeys(itertools.chain.from_iterable(following)))
    if layout == "isotropic":
        return EmptySpaceError("stages", "no width of the first stage fits all stages of the isotropic layout")
    return EmptySpaceError("stages", "at least one must halve the map in the pyramid layout (see downsample)")


def _first_error(counter: ArchitectureCounter, index: int, shapes: Sequence[BlockShape]) -> SpaceError | None:
    """Why stage `index` fits none of `shapes`."""
    for shape in shapes:
        error = counter.stages[index].first_error(shape)
        if error is not None:
            cause, (height, width) = error.at(f"stages[{index}]"), shape.size
            return EmptySpaceError(cause.place, f"nothing fits a map of {height}x{width}: {cause.rule}", cause.value)
    return None
