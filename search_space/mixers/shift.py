"""shift: channels move by pixels.

- "shiftvit" (Wang et al., "When Shift Operation Meets Vision Transformer", AAAI 2022): `C // fraction` channels move left,
  then as many right, up and down by one; the rest, with what the division leaves, stay; zeros enter. No parameters, no
  arithmetic.
- "s2" (S2-MLP; Yu et al., WACV 2022): quarters of the channels move down, up, right and left by one; the border keeps its
  value. The quarters are cut at `C // 4`, `C // 2` and `3*C // 4`, as in the published code: where 4 does not divide C the last
  ones are wider: 2, 3, 3, 3 of 11 channels. Of the input, never in place: the published assignments to overlapping slices
  of one tensor have no defined order. No parameters, no arithmetic.
- "axial" (AS-MLP; Lian et al., ICLR 2022): `conv3(GN(gelu(conv2_1 shift_W a) + gelu(conv2_2 shift_H a)))`,
  `a = gelu(GN(conv1 x))`, all convolutions 1x1; channel c, of group g = c // ceil(C / shift_size), moves by
  g - shift_size // 2 along W, in another copy along H; zeros enter. As with `torch.chunk`, the last groups are smaller or empty
  where `shift_size` does not divide C. Parameters are named as in the published `AxialShift`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class ShiftSpec(TokenMixerSpec):
    """Shift, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        kind: "shiftvit", "s2" or "axial".
        fraction: of "shiftvit": one in `fraction` channels moves in each of the four directions.
        shift_size: of "axial": number of groups, each with its own distance; odd.
    """

    name: ClassVar[str] = "shift"
    kind: Literal["shiftvit", "s2", "axial"] = "shiftvit"
    fraction: Annotated[int, Field(ge=4)] = 12
    shift_size: Annotated[int, Field(ge=1)] = 5

    def check(self, width: int, size: Size) -> None:
        if self.kind == "axial" and self.shift_size % 2 == 0:
            raise ArchitectureError("shift_size", "must be odd", self.shift_size)
        option, groups = {
            "shiftvit": ("fraction", self.fraction),
            "s2": ("kind", 4),
            "axial": ("shift_size", self.shift_size),
        }[self.kind]
        if width < groups:
            rule = f"needs at least {groups} channels, the width is {width}"
            raise ArchitectureError(option, rule, getattr(self, option))

    def canonical(self, width: int, size: Size) -> ShiftSpec:
        """Options of the other kinds have their defaults."""
        options = {"shiftvit": ("fraction",), "s2": (), "axial": ("shift_size",)}[self.kind]
        return ShiftSpec(kind=self.kind, **{option: getattr(self, option) for option in options})

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width) if self.kind == "axial" else cdg.identity(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        if self.kind != "axial":
            # Where a part is empty, the concatenation of the parts is contiguous.
            empty = min(x.size) == 1 or (self.kind == "shiftvit" and 4 * (x.width // self.fraction) == x.width)
            return FeatureMap(x.width, x.size, channels_last=x.channels_last and not empty)
        a = tape.act("gelu", tape.norm("group", tape.conv(x, x.width)))
        for _ in ("along W", "along H"):
            y = tape.act("gelu", tape.conv(a.like(), x.width))  # of a copy, shifted
        return tape.conv(tape.norm("group", y.like()), x.width)
