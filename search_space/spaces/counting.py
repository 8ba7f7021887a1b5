"""How many architectures a space has: exact counts, as sums over the stages from first to last, cached."""

from __future__ import annotations

from functools import cache
from math import prod

from search_space.channel_mixers import ChannelMixerSpec
from search_space.errors import SpaceError
from search_space.mixers import TokenMixerSpec
from search_space.shapes import BlockShape, Size
from search_space.spaces.stage_choices import StageChoices, StageForm
from search_space.stem import StemSpec


class ArchitectureCounter:
    """Which choices fit in a space of `stages` on images of `image_size`, and how many architectures they make.

    A stage as a whole has a `BlockShape`: the width and map of its input, and those of its output.
    """

    def __init__(self, stages: tuple[StageChoices, ...], image_size: Size) -> None:
        self.stages = stages
        self.image_size = image_size
        # Caches of this object, not of the class: they are freed with the space.
        self._first_equal_stage = tuple(map(stages.index, stages))
        self._mixer_pairs_of_stage = cache(self._mixer_pairs)
        self.forms = cache(self._forms)
        self.stage_variant_count = cache(self._stage_variant_count)
        self.first_shapes = cache(self._first_shapes)
        self.completions = cache(self._completions)
        self.architectures = cache(self._architectures)

    def __reduce__(self) -> tuple[type[ArchitectureCounter], tuple[tuple[StageChoices, ...], Size]]:
        """A pickle or copy starts with empty caches."""
        return ArchitectureCounter, (self.stages, self.image_size)

    def _mixer_pairs(
        self, index: int, residual: str, block_shapes: tuple[BlockShape, ...]
    ) -> dict[TokenMixerSpec, tuple[ChannelMixerSpec, ...]]:
        return self.stages[index].mixer_pairs(residual, block_shapes)

    def mixer_pairs(
        self, index: int, residual: str, block_shapes: tuple[BlockShape, ...]
    ) -> dict[TokenMixerSpec, tuple[ChannelMixerSpec, ...]]:
        """The token mixers that fit blocks of stage `index` of `block_shapes`, each with its channel mixers; cached."""
        return self._mixer_pairs_of_stage(self._first_equal_stage[index], residual, block_shapes)

    def _forms(self, index: int, shape: BlockShape) -> tuple[StageForm, ...]:
        """The forms of a stage `index` of `shape` for which some mixers fit."""
        forms = self.stages[index].forms(shape)
        return tuple(form for form in forms if self.mixer_pairs(index, form.residual, form.block_shapes))

    def _stage_variant_count(self, index: int, shape: BlockShape) -> int:
        """The number of distinct stages with number `index` and this `shape`."""
        choices = self.stages[index]
        combinations = sum(
            sum(map(len, self.mixer_pairs(index, form.residual, form.block_shapes).values()))
            * len(choices.layer_scales(form.residual))
            * len(choices.downsamplings(form, shape))
            for form in self.forms(index, shape)
        )
        return combinations * prod(len(getattr(choices, field)) for field in choices.independent_fields)

    def _first_shapes(self, layout: str, patch: int, ratio: float) -> tuple[BlockShape, ...]:
        """The shapes that the first stage may have after a stem of `patch` and `ratio`."""
        height, width = self.image_size
        if height % patch or width % patch:
            return ()
        stem, size = StemSpec(patch=patch, ratio=ratio), (height // patch, width // patch)
        return tuple(
            BlockShape(stem.width(width), width, size, stride)
            for width in self.stages[0].width
            if _has_whole_width(stem, width)
            for stride in self.stages[0].strides(0, layout)
        )

    def next_shapes(self, layout: str, index: int, width: int, size: Size) -> tuple[BlockShape, ...]:
        """The shapes that stage `index`, not the first, may have after a stage of `width` and map `size`."""
        choices = self.stages[index]
        widths = choices.width if layout == "pyramid" else (width,)
        strides = choices.strides(index, layout)
        return tuple(BlockShape(width, next_width, size, stride) for next_width in widths for stride in strides)

    def _completions(self, n: int, layout: str, index: int, shape: BlockShape, flat: bool) -> int:
        """Sequences of stages from `index` to the last of `n`, this one of `shape`; `flat`: none before halves the map."""
        flat = flat and shape.stride == 1
        count = self.stage_variant_count(index, shape)
        if index + 1 == n:
            return 0 if flat and n > 1 and layout == "pyramid" else count
        if not count:
            return 0
        following = self.next_shapes(layout, index + 1, shape.width, shape.size)
        return count * sum(self.completions(n, layout, index + 1, next_shape, flat) for next_shape in following)

    def _architectures(self, n: int, layout: str, patch: int, ratio: float) -> int:
        """Architectures of `n` stages after a stem of `patch` and `ratio`, without the other choices of stem and head."""
        return sum(self.completions(n, layout, 0, shape, True) for shape in self.first_shapes(layout, patch, ratio))


def _has_whole_width(stem: StemSpec, width: int) -> bool:
    try:
        stem.check(width)
    except SpaceError:
        return False
    return True
