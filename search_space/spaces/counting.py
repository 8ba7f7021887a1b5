"""How many architectures there are: exact counts by sums over the stages one after the other, memoised."""

from __future__ import annotations

from functools import cache
from math import prod

from search_space.blocks import BlockShape
from search_space.channel_mixers import ChannelMixer
from search_space.costs import Size
from search_space.errors import SpaceError
from search_space.macro import Residual, Stem
from search_space.mixers import Mixer
from search_space.spaces.stage_choices import Form, StageChoices


class Counter:
    """What fits where in a space of `stages` on images of `image_size`, and how many networks that makes.

    What a stage as a whole changes is a `BlockShape`: the width and map that come in, and what it makes of them.
    """

    def __init__(self, stages: tuple[StageChoices, ...], image_size: Size) -> None:
        self.stages = stages
        self.image_size = image_size
        # Caches of this object, not of the class: they go when the space goes.
        self.pairs = cache(self._pairs)
        self.forms = cache(self._forms)
        self.stage = cache(self._stage)
        self.first = cache(self._first)
        self.completions = cache(self._completions)
        self.networks = cache(self._networks)

    def __reduce__(self) -> tuple[type[Counter], tuple[tuple[StageChoices, ...], Size]]:
        """A pickle or copy counts anew."""
        return Counter, (self.stages, self.image_size)

    def _pairs(
        self, index: int, residual: Residual, where: tuple[BlockShape, ...]
    ) -> dict[Mixer, tuple[ChannelMixer, ...]]:
        """The token mixers that fit blocks of stage `index` at the sites `where`, each with its channel mixers."""
        return self.stages[index].pairs(residual, where)

    def _forms(self, index: int, entry: BlockShape) -> tuple[Form, ...]:
        """The forms of stage `index` that some mixers fit."""
        forms = self.stages[index].forms(entry)
        return tuple(form for form in forms if self.pairs(index, form.residual, form.sites))

    def _stage(self, index: int, entry: BlockShape) -> int:
        """Stages `index` that change `entry`."""
        choices = self.stages[index]
        forms = sum(
            sum(map(len, self.pairs(index, form.residual, form.sites).values()))
            * len(choices.layer_scales(form.residual))
            * len(choices.downsamplings(form, entry))
            for form in self.forms(index, entry)
        )
        return forms * prod(len(getattr(choices, field)) for field in choices.plain)

    def _first(self, layout: str, patch: int, ratio: float) -> tuple[BlockShape, ...]:
        """What the first stage may make of the map behind a stem of `patch` and `ratio`."""
        height, width = self.image_size
        if height % patch or width % patch:
            return ()
        stem, size = Stem(patch=patch, ratio=ratio), (height // patch, width // patch)
        return tuple(
            BlockShape(stem.width(width), width, size, stride)
            for width in self.stages[0].width
            if _is_whole(stem, width)
            for stride in self.stages[0].strides(0, layout)
        )

    def next(self, layout: str, index: int, width: int, size: Size) -> tuple[BlockShape, ...]:
        """What stage `index`, not the first, may make of the width and map before it."""
        choices = self.stages[index]
        widths = choices.width if layout == "pyramid" else (width,)
        strides = choices.strides(index, layout)
        return tuple(BlockShape(width, wider, size, stride) for wider in widths for stride in strides)

    def _completions(self, n: int, layout: str, index: int, entry: BlockShape, flat: bool) -> int:
        """Sequences of the stages from `index` to the last of `n`, this one changing `entry`; `flat`: none before halves."""
        flat = flat and entry.stride == 1
        here = self.stage(index, entry)
        if index + 1 == n:
            return 0 if flat and n > 1 and layout == "pyramid" else here
        if not here:
            return 0
        following = self.next(layout, index + 1, entry.width, entry.size)
        return here * sum(self.completions(n, layout, index + 1, entry, flat) for entry in following)

    def _networks(self, n: int, layout: str, patch: int, ratio: float) -> int:
        """Networks of `n` stages behind a stem of `patch` and `ratio`; the other choices of stem and head apart."""
        return sum(self.completions(n, layout, 0, entry, True) for entry in self.first(layout, patch, ratio))


def _is_whole(stem: Stem, width: int) -> bool:
    try:
        stem.check(width)
    except SpaceError:
        return False
    return True
