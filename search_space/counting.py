"""How many architectures there are: exact counts by products and sums over what fits, memoised."""

from __future__ import annotations

from functools import cache
from math import prod

from search_space.cdg import ChannelGraph
from search_space.channel_mixers import ChannelMixer
from search_space.choices import StageChoices
from search_space.costs import Size
from search_space.mixers import Mixer
from search_space.mixers.base import graph_of


class Counter:
    """What fits where in a space of `stages` on images of `image_size`, and how many networks that makes."""

    def __init__(self, stages: tuple[StageChoices, ...], image_size: Size) -> None:
        self.stages = stages
        self.image_size = image_size
        # Caches of this object, not of the class: they go when the space goes.
        self.mixers = cache(self._mixers)
        self.stage = cache(self._stage)
        self.networks = cache(self._networks)
        self.blocks = cache(self._blocks)
        self.channel_mixers = cache(self._channel_mixers)
        self._behind = cache(self._channel_mixers_behind)

    def sizes(self, n: int, layout: str, patch: int) -> tuple[Size, ...]:
        """The map sizes of `n` stages."""
        height, width = self.image_size[0] // patch, self.image_size[1] // patch
        sizes = [(height, width)]
        while len(sizes) < n:
            height, width = (-(-height // 2), -(-width // 2)) if layout == "pyramid" else (height, width)
            sizes.append((height, width))
        return tuple(sizes)

    def _mixers(self, index: int, width: int, size: Size) -> tuple[Mixer, ...]:
        return self.stages[index].mixers(width, size)

    def _channel_mixers(self, index: int, width: int, mixer: Mixer) -> tuple[ChannelMixer, ...]:
        """The channel mixers that may stand behind `mixer` in stage `index`."""
        return self._behind(index, width, graph_of(mixer, width))

    def _channel_mixers_behind(self, index: int, width: int, before: ChannelGraph) -> tuple[ChannelMixer, ...]:
        return self.stages[index].channel_mixers(width, before)

    def _blocks(self, index: int, width: int, size: Size) -> tuple[Mixer, ...]:
        """The token mixers that fit and that some channel mixer may stand behind."""
        return tuple(m for m in self.mixers(index, width, size) if self.channel_mixers(index, width, m))

    def _stage(self, index: int, width: int, size: Size) -> int:
        """Stages of `width` on a map of `size`, their downsampling apart."""
        choices = self.stages[index]
        blocks = sum(len(self.channel_mixers(index, width, mixer)) for mixer in self.mixers(index, width, size))
        return blocks * len(choices.forms) * prod(len(getattr(choices, field)) for field in choices.plain)

    def tied(self, index: int, count: int, size: Size, width: int) -> int:
        """Sequences of `count` stages from `index` on, all of one `width` and `size`."""
        return prod(self.stage(i, width, size) for i in range(index, index + count))

    def _networks(self, n: int, layout: str, patch: int) -> int:
        """Networks of `n` stages behind a stem of `patch`; the other choices of stem and head apart."""
        if self.image_size[0] % patch or self.image_size[1] % patch:
            return 0
        sizes = self.sizes(n, layout, patch)
        if layout == "isotropic":
            return sum(self.tied(0, n, sizes[0], width) for width in self.stages[0].width)
        stages = (sum(self.stage(i, w, sizes[i]) for w in self.stages[i].width) for i in range(n))
        return prod(stages) * prod(len(stage.downsampling) for stage in self.stages[1:n])
