"""The token mixers to choose from in a stage, and which of them fit which inputs: equal for many residual forms and depths."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from search_space.block_fit import canonical_token_mixer, check_token_mixer
from search_space.channel_graph import ChannelGraph
from search_space.errors import SpaceError
from search_space.mixers import MIXERS, TokenMixerSpec
from search_space.mixers.base import channel_graph_of
from search_space.shapes import MapShape


class FittingMixer(NamedTuple):
    """A canonical token mixer that fits some inputs.

    Attributes:
        choice: the number of the first choice that is this mixer, in the order of the choices.
        mixer: the canonical form at the inputs.
        graphs: its channel graph at each input.
        graph_numbers: equal for equal `graphs` of one `TokenMixerChoices`; unlike them quickly compared.
    """

    choice: int
    mixer: TokenMixerSpec
    graphs: tuple[ChannelGraph, ...]
    graph_numbers: tuple[int, ...]


class TokenMixerChoices:
    """The token mixers that `options` describe, the choices of each option by the name of a mixer; cached."""

    def __init__(self, options: dict[str, dict[str, tuple[Any, ...]]]) -> None:
        self.options = options
        self._graph_numbers: dict[ChannelGraph, int] = {}
        # Caches of this object, not of the class: they are freed with the space.
        self.variants = cache(self._variants)
        self.fitting = cache(self._fitting)

    def __reduce__(self) -> tuple[type[TokenMixerChoices], tuple[dict[str, dict[str, tuple[Any, ...]]]]]:
        """A pickle or copy starts with empty caches."""
        return TokenMixerChoices, (self.options,)

    def _variants(self, width: int) -> tuple[TokenMixerSpec, ...]:
        """All combinations of the choices in a stage of `width`, whether they fit or not."""
        return tuple(mixer for name, options in self.options.items() for mixer in MIXERS[name].variants(options, width))

    def _fitting(self, width: int, inputs: tuple[MapShape, ...]) -> tuple[FittingMixer, ...]:
        """The token mixers in a stage of `width` that fit all `inputs`; each pair of a canonical form and graphs once."""
        fitting: dict[tuple[TokenMixerSpec, tuple[int, ...]], FittingMixer] = {}
        for choice, mixer in enumerate(self.variants(width)):
            try:
                check_token_mixer(mixer, inputs)
            except SpaceError:
                continue
            graphs = tuple(channel_graph_of(mixer, width_before) for width_before, _ in inputs)
            numbers = tuple(self._graph_numbers.setdefault(graph, len(self._graph_numbers)) for graph in graphs)
            canonical = canonical_token_mixer(mixer, inputs)
            fitting.setdefault((canonical, numbers), FittingMixer(choice, canonical, graphs, numbers))
        return tuple(fitting.values())
