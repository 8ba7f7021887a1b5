"""What a channel mixer is: options, the rules of where it fits, its channel graph and its cost.

Like a token mixer (`search_space/mixers/base.py`), but it works at each position by itself; whether it fits depends on the
token mixer before it, because the two together must reach every channel.

`width` is the number of input channels; `out` that of the output channels, None: as many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from search_space.channel_graph import ChannelGraph, Layer
from search_space.errors import ArchitectureError
from search_space.registry import Spec, SpecRegistry
from search_space.shapes import Size
from search_space.tape import Cost, FeatureMap, Tape, cost_of_layer


class ChannelMixerSpec(Spec, ABC):
    """The description of a channel mixer, `(B, C, H, W) -> (B, out, H, W)`: its fields are its options. Subclasses are final."""

    def check(self, width: int, out: int | None = None) -> None:
        """Raise `ArchitectureError` if the channel mixer does not fit `width` input channels or `out` output channels."""
        return

    def check_reach(self, width: int, before: ChannelGraph, out: int | None = None) -> None:
        """Raise `ArchitectureError` if, after a token mixer of graph `before`, some output misses an input channel."""
        check_full(before.then(self.graph(width, out)))

    @classmethod
    def variants(cls, options: Mapping[str, tuple[Any, ...]], width: int, out: int | None = None) -> list[Self]:
        """All combinations of the choices of `options` for `width` input and `out` output channels, whether they fit or not."""
        return super().variants(options, width)

    @abstractmethod
    def graph(self, width: int, out: int | None = None) -> ChannelGraph:
        """Which input channels each output channel depends on, `(out, C)`."""

    def layers(self, width: int, out: int | None = None) -> tuple[Layer, ...]:
        """The layers that compose to `graph(width, out)`, in order, to be drawn."""
        return (Layer(self.name, self.graph(width, out)),)

    @abstractmethod
    def trace(self, x: FeatureMap, tape: Tape, act: str, out: int | None = None) -> FeatureMap:
        """Record the cost of a forward pass of `x` on `tape`, with the stage's activation `act`; returns the output."""

    def cost(self, width: int, size: Size, act: str = "gelu", out: int | None = None) -> Cost:
        """The exact cost for one image of the mixer by itself, including what it saves of its input and output."""
        return cost_of_layer(lambda x, tape: self.trace(x, tape, act, out), width, size)


def check_full(block: ChannelGraph) -> None:
    """Raise `ArchitectureError` if in the graph of a whole block some output misses an input channel."""
    if block.is_full:
        return
    output = int(block.matrix.all(axis=1).argmin())  # the first that misses any
    reached, width = int(block.matrix[output].sum()), block.matrix.shape[1]
    rule = f"the block must reach every channel: output {output} misses {width - reached} of {width} inputs"
    raise ArchitectureError("", rule)


CHANNEL_MIXERS: SpecRegistry[ChannelMixerSpec] = SpecRegistry("channel mixer", ChannelMixerSpec)  # type: ignore[type-abstract]
