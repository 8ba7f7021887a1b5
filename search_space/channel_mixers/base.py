"""What a channel mixer is: options, the rules of where it fits, its channel graph, its cost, and the module it builds.

As a token mixer (`search_space/mixers/base.py`), but for what happens at each position alone; its fit depends on the
token mixer before it, because the two together must reach every channel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from search_space.cdg import ChannelGraph
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError
from search_space.registry import Named, Registry

if TYPE_CHECKING:
    from torch import nn


class ChannelMixer(Named, ABC):
    """A channel mixer: its fields are its options. Concrete channel mixers are final."""

    def check(self, width: int) -> None:
        """Raise `ArchitectureError` if the channel mixer does not fit `width` channels."""
        return

    def check_reach(self, width: int, before: ChannelGraph) -> None:
        """Raise `ArchitectureError` if, behind a token mixer of graph `before`, some output misses an input channel."""
        missing = before.then(self.graph(width)).missing()
        if missing:
            output, inputs = next(iter(missing.items()))
            rule = f"the block must reach every channel: output {output} misses {len(inputs)} of {width} inputs"
            raise ArchitectureError("", rule)

    @abstractmethod
    def graph(self, width: int) -> ChannelGraph:
        """Which channels each output channel depends on, `(C, C)`."""

    @abstractmethod
    def cost(self, width: int, size: Size) -> Cost:
        """Exact cost for one image."""

    @abstractmethod
    def build(self, width: int, act: str) -> nn.Module:
        """The module, `(B, C, H, W) -> (B, C, H, W)`, with the stage's activation `act`."""


CHANNEL_MIXERS: Registry[ChannelMixer] = Registry("channel mixer", ChannelMixer)  # type: ignore[type-abstract]
