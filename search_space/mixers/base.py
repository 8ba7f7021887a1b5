"""What a token mixer is: options, the rules of where it fits, its channel graph and its costs.

A token mixer is two short files: its description `mixers/NAME.py`, without torch, so that spaces, costs and reports need
none; and its module `modules/NAME.py`, an `nn.Module` that registers itself for the description with `@builds`. Both carry the
reference. Nothing else is edited, for both packages import all their modules.

Feature maps are `(B, C, H, W)`; `width` is C and `size` is (H, W).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from search_space.channel_graph import ChannelGraph, Layer
from search_space.errors import ArchitectureError
from search_space.registry import Spec, SpecRegistry
from search_space.shapes import Size
from search_space.tape import Cost, FeatureMap, Tape, cost_of_layer


class TokenMixerSpec(Spec, ABC):
    """The description of a token mixer, `(B, C, H, W) -> (B, C, H, W)`: its fields are its options. Subclasses are final."""

    def check(self, width: int, size: Size) -> None:
        """Raise `ArchitectureError` if the mixer does not fit a map of `width` channels and `size`."""
        return

    def canonical(self, width: int, size: Size) -> TokenMixerSpec:
        """The canonical form of this description at `width` and `size`: equal functions have equal canonical forms."""
        return self

    def for_block(self, index: int) -> TokenMixerSpec:
        """The mixer of block `index` of a stage; the same for most mixers."""
        return self

    @property
    def is_bound_to_size(self) -> bool:
        """True if shapes of parameters depend on the map size; the module is then a `SizeBound`, or has `for_size(size)`."""
        return False

    @abstractmethod
    def graph(self, width: int) -> ChannelGraph:
        """Which input channels each output channel depends on, `(C, C)`."""

    def layers(self, width: int) -> tuple[Layer, ...]:
        """The layers that compose to `graph(width)`, in order, to be drawn; most mixers count as one."""
        return (Layer(self.name, self.graph(width)),)

    @abstractmethod
    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        """Record the cost of a forward pass of `x` on `tape`; returns the output."""

    def trace_strided(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        """As `trace` with a stride of 2.

        Most mixers have no stride: means of 2x2 positions follow them (BoTNet). A mixer that overrides this has a second
        module, `(B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))`, registered with `@builds(..., stride=2)`.
        """
        return tape.avg_pool2x2(self.trace(x, tape))

    def cost(self, width: int, size: Size) -> Cost:
        """The exact cost for one image of the mixer by itself, including what it saves of its input and output."""
        return cost_of_layer(self.trace, width, size)


MIXERS: SpecRegistry[TokenMixerSpec] = SpecRegistry("mixer", TokenMixerSpec)  # type: ignore[type-abstract]


def check_divides(option: str, value: int, what: str, number: int) -> None:
    """Raise `ArchitectureError` unless `value` divides `number`."""
    if number % value:
        raise ArchitectureError(option, f"must divide the {what} {number}", value)


@lru_cache(maxsize=4096)
def channel_graph_of(mixer: TokenMixerSpec, width: int) -> ChannelGraph:
    """`mixer.graph(width)`, cached: the graph of a wide mixer is a large matrix."""
    return mixer.graph(width)


ModuleBuilder = Callable[["TokenMixerSpec", int, Size], Any]
_module_builder: ModuleBuilder


def use_module_builder(builder: ModuleBuilder) -> None:
    """Let `create` build modules with `builder(mixer, width, size)`.

    Modules know their descriptions, never the reverse: `search_space/__init__.py`, which stands above both, says how.
    """
    global _module_builder
    _module_builder = builder


def create(name: str, *, width: int, size: Size, **options: Any) -> Any:
    """A token mixer as an `nn.Module`, `(B, C, H, W) -> (B, C, H, W)`.

        mixer = create("lambda", width=64, size=(14, 14), heads=4, k=16, u=1, context=7)

    Args:
        name: a registered name.
        width: channels C.
        size: (H, W) of the maps.
        options: the fields of the mixer's description; each has a default.

    Raises:
        SpaceError: unknown name or option, an option out of range, or one that does not fit `width` or `size`.
    """
    mixer = MIXERS.find(name)(**options)
    mixer.check(width, size)
    return _module_builder(mixer, width, size)
