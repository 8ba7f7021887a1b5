"""fnet: the real part of a Fourier transform over positions and channels (FNet; Lee-Thorp et al., NAACL 2022).

`Re(FFT_sequence(FFT_hidden(x)))` of the tokens `(N, C)`, row-major positions n = i*W + j; neither parameters nor a
normalisation of the transform. The sequence is one-dimensional, as in the paper: the map's two axes are not transformed
apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from search_space import channel_graph as cdg
from search_space.costs import Map, Size, Tape
from search_space.mixers.base import MIXERS, Mixer

if TYPE_CHECKING:
    from torch import nn


@MIXERS.register
class FNet(Mixer):
    """Fourier token mixing, `(B, C, H, W) -> (B, C, H, W)`; no options."""

    name: ClassVar[str] = "fnet"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def trace(self, x: Map, tape: Tape) -> Map:
        """One real transform of the `C x N` matrix: half of `C` complex ones of N points and `N` of C points."""
        tape.keep(x)
        tape.real_fft2(1, (x.width, x.positions))
        return Map(x.width, x.size)

    def build(self, width: int, size: Size) -> nn.Module:
        from search_space.modules.fnet import FNet

        return FNet()
