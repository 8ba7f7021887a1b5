"""shift: channels move by one pixel, without parameters or arithmetic.

- "shiftvit" (Wang et al., "When Shift Operation Meets Vision Transformer", AAAI 2022): a `1/fraction` of the channels moves
  left, then as many right, up and down; the rest stay; zeros enter.
- "s2" (S2-MLP; Yu et al., WACV 2022): quarters of the channels move down, up, right and left; the border keeps its value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_space import cdg
from search_space.costs import Cost, Size
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, Mixer

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class Shift(Mixer):
    """Shift, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        kind: "shiftvit" or "s2".
        fraction: of "shiftvit": one in `fraction` channels moves in each of the four directions.
    """

    name: ClassVar[str] = "shift"
    kind: Literal["shiftvit", "s2"] = "shiftvit"
    fraction: Annotated[int, Field(ge=4)] = 12

    def check(self, width: int, size: Size) -> None:
        if width < (self.fraction if self.kind == "shiftvit" else 4):
            rule = f"needs at least that many channels, the width is {width}"
            raise ArchitectureError("fraction" if self.kind == "shiftvit" else "kind", rule, self.fraction)

    def canonical(self, width: int, size: Size) -> Shift:
        """Kind "s2" has no fraction."""
        return self if self.kind == "shiftvit" else Shift(kind=self.kind)

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def cost(self, width: int, size: Size) -> Cost:
        return Cost()

    def build(self, width: int, size: Size) -> nn.Module:
        from search_space.layers.shift import ClampedShift, ZeroShift

        return ZeroShift(width // self.fraction) if self.kind == "shiftvit" else ClampedShift()
