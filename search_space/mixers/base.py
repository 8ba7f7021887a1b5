"""What a token mixer is: options, the rules of where it fits, its channel graph, its costs, and the module it builds.

A mixer is two short files: `mixers/NAME.py` says *what* it is, without torch, so that spaces, costs and reports need
none; `modules/NAME.py` holds the `nn.Module` that computes it. Both carry the reference. A further mixer is those two
files and their test; nothing else is edited, for this package imports all its modules.

Maps are `(B, C, H, W)`; `width` is C and `size` is (H, W).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from search_space.channel_graph import ChannelGraph, Layer
from search_space.costs import Cost, Map, Size, Tape, alone
from search_space.errors import ArchitectureError
from search_space.registry import Named, Registry

if TYPE_CHECKING:
    from torch import nn


class Mixer(Named, ABC):
    """A token mixer: its fields are its options. Concrete mixers are final."""

    def check(self, width: int, size: Size) -> None:
        """Raise `ArchitectureError` if the mixer does not fit a map of `width` channels and `size`."""
        return

    def canonical(self, width: int, size: Size) -> Mixer:
        """The one spelling of this mixer at `width` and `size`: equal functions have equal spellings."""
        return self

    def at(self, index: int) -> Mixer:
        """The mixer of block `index` of a stage; the same for most."""
        return self

    @property
    def map_bound(self) -> bool:
        """True if the shapes of the module's parameters depend on the map size; such a module has `resized(size)`."""
        return False

    @abstractmethod
    def graph(self, width: int) -> ChannelGraph:
        """Which channels each output channel depends on, `(C, C)`."""

    def layers(self, width: int) -> tuple[Layer, ...]:
        """The layers that compose to `graph(width)`, in order, for pictures of it; most mixers count as one."""
        return (Layer(self.name, self.graph(width)),)

    @abstractmethod
    def trace(self, x: Map, tape: Tape) -> Map:
        """Write on `tape` what the forward pass of `x` costs; the map that comes out."""

    def cost(self, width: int, size: Size) -> Cost:
        """Exact cost for one image of the mixer by itself, what it keeps of its input and output included."""
        return alone(self.trace, width, size)

    @abstractmethod
    def build(self, width: int, size: Size) -> nn.Module:
        """The module, `(B, C, H, W) -> (B, C, H, W)`."""

    def trace_halving(self, x: Map, tape: Tape) -> Map:
        """As `trace`, where the map is halved as well, see `build_halving`."""
        return tape.halve(self.trace(x, tape))

    def build_halving(self, width: int, size: Size) -> nn.Module | None:
        """The module with a stride of 2, `(B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))`.

        None where it has no stride: to halve the map, means of 2x2 positions then stand behind `build`'s (BoTNet).
        """
        return None


MIXERS: Registry[Mixer] = Registry("mixer", Mixer)  # type: ignore[type-abstract]


def must_divide(option: str, value: int, what: str, number: int) -> None:
    """Raise `ArchitectureError` unless `value` divides `number`."""
    if number % value:
        raise ArchitectureError(option, f"must divide the {what} {number}", value)


@lru_cache(maxsize=4096)
def graph_of(mixer: Mixer, width: int) -> ChannelGraph:
    """`mixer.graph(width)`, remembered."""
    return mixer.graph(width)


def create(name: str, *, width: int, size: Size, **options: Any) -> nn.Module:
    """The module of the mixer `name` with `options`, `(B, width, *size) -> (B, width, *size)`.

    Raises:
        SpaceError: unknown name or option, an option out of range, or one that does not fit `width` or `size`.
    """
    mixer = MIXERS.named(name)(**options)
    mixer.check(width, size)
    return mixer.build(width, size)
