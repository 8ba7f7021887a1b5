"""fno: the layer of the Fourier neural operator (FNO; Li et al., ICLR 2021).

`y = gelu(irfft2(R . X) + W x + b)`, X = rfft2(x) unnormalised, W a 1x1 convolution and R a dense complex C x C matrix for
each low mode; the others are dropped. Rows [:m] and [-m:] of the spectrum have separate weights, `weights1` and `weights2`,
as in the published `SpectralConv2d` (the later library neuraloperator counts rows of both signs together), here with real and
imaginary parts as a last axis: `(C_in, C_out, m, m, 2)`.
R has many parameters, which motivated GFNet and AFNO.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape

Modes = Literal["all"] | Annotated[int, Field(ge=1)]


@MIXERS.register
class FNOSpec(TokenMixerSpec):
    """Fourier neural operator, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        modes: modes kept along each axis (of rows, as many of either sign), at most half the map; or "all" of the map
            (`weights1` for the upper half of its rows, rounded up), which binds the weights to its size.
    """

    name: ClassVar[str] = "fno"
    modes: Modes = "all"

    def check(self, width: int, size: Size) -> None:
        if self.modes != "all" and self.modes > min(size) // 2:
            raise ArchitectureError("modes", f"must not exceed half the map {size[0]}x{size[1]}", self.modes)

    @property
    def is_bound_to_size(self) -> bool:
        return self.modes == "all"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        (top, bottom), columns = kept_modes(self.modes, x.size)
        weights = (top + bottom) * columns * x.width * x.width  # complex numbers: 4 MACs and 2 parameters each
        whole = x.size[1] // 2 + 1
        # The products save the modes: as views of the spectrum where they are one block of it, else as copies.
        copied = columns < whole and top > 1 and x.width > 1
        modes = (top + bottom) * columns if copied else x.size[0] * whole
        tape.real_fft2(x.width, x.size, times=2)
        tape.add(macs=4 * weights, params=2 * weights, saved=2 * x.width * modes)
        tape.conv(x, x.width)
        return tape.act("gelu", FeatureMap(x.width, x.size))


def kept_modes(modes: Modes, size: Size) -> tuple[tuple[int, int], int]:
    """The part of the half spectrum `(H, W//2+1)` that is kept: rows from the top, rows from the bottom, columns."""
    if modes == "all":
        return (size[0] - size[0] // 2, size[0] // 2), size[1] // 2 + 1
    return (modes, modes), modes
