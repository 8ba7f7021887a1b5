"""What a channel mixer is: options, the rules of where it fits, its channel graph, its cost, and the module it builds.

As a token mixer (`search_space/mixers/base.py`), but for what happens at each position alone; its fit depends on the
token mixer before it, because the two together must reach every channel.

`width` is the number of channels that come in; `out` that of those that go out, None: as many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from search_space.channel_graph import ChannelGraph, Layer
from search_space.costs import Cost, Map, Size, Tape, alone
from search_space.errors import ArchitectureError
from search_space.registry import Named, Registry

if TYPE_CHECKING:
    from torch import nn


class ChannelMixer(Named, ABC):
    """A channel mixer: its fields are its options. Concrete channel mixers are final."""

    def check(self, width: int, out: int | None = None) -> None:
        """Raise `ArchitectureError` if the channel mixer does not fit `width` channels, or cannot make `out` of them."""
        return

    def check_reach(self, width: int, before: ChannelGraph, out: int | None = None) -> None:
        """Raise `ArchitectureError` if, behind a token mixer of graph `before`, some output misses an input channel."""
        refuse_unreached(before.then(self.graph(width, out)))

    @classmethod
    def variants(cls, options: Mapping[str, tuple[Any, ...]], width: int, out: int | None = None) -> list[Self]:
        """All combinations of the `options`' choices for `width` channels that become `out`, whether or not they fit."""
        return super().variants(options, width)

    @abstractmethod
    def graph(self, width: int, out: int | None = None) -> ChannelGraph:
        """Which channels each output channel depends on, `(out, C)`."""

    def layers(self, width: int, out: int | None = None) -> tuple[Layer, ...]:
        """The layers that compose to `graph(width, out)`, in order, for pictures of it."""
        return (Layer(self.name, self.graph(width, out)),)

    @abstractmethod
    def trace(self, x: Map, tape: Tape, act: str, out: int | None = None) -> Map:
        """Write on `tape` what the forward pass of `x` costs, with the stage's activation `act`; the map that comes out."""

    def cost(self, width: int, size: Size, act: str = "gelu", out: int | None = None) -> Cost:
        """Exact cost for one image of the mixer by itself, what it keeps of its input and output included."""
        return alone(lambda x, tape: self.trace(x, tape, act, out), width, size)

    @abstractmethod
    def build(self, width: int, act: str, out: int | None = None) -> nn.Module:
        """The module, `(B, C, H, W) -> (B, out, H, W)`, with the stage's activation `act`."""


def refuse_unreached(block: ChannelGraph) -> None:
    """Raise `ArchitectureError` if in the graph of a whole block some output misses an input channel."""
    if block.is_full:
        return
    output = int(block.matrix.all(axis=1).argmin())  # the first that misses any
    reached, width = int(block.matrix[output].sum()), block.matrix.shape[1]
    rule = f"the block must reach every channel: output {output} misses {width - reached} of {width} inputs"
    raise ArchitectureError("", rule)


CHANNEL_MIXERS: Registry[ChannelMixer] = Registry("channel mixer", ChannelMixer)  # type: ignore[type-abstract]
