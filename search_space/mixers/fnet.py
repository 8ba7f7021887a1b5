"""fnet: the real part of a Fourier transform over positions and channels (FNet; Lee-Thorp et al., NAACL 2022).

`Re(FFT_sequence(FFT_hidden(x)))` of the tokens `(N, C)`, row-major positions n = i*W + j; neither parameters nor a
normalisation of the transform. The sequence is one-dimensional, as in the paper: the two axes of the map are not transformed
separately.
"""

from __future__ import annotations

from typing import ClassVar

from search_space import channel_graph as cdg
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class FNetSpec(TokenMixerSpec):
    """Fourier token mixing, `(B, C, H, W) -> (B, C, H, W)`; no options."""

    name: ClassVar[str] = "fnet"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.dense(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        """One real transform of the `C x N` matrix: half of `C` complex ones of N points and `N` of C points."""
        tape.save(x)
        tape.real_fft2(1, (x.width, x.positions))
        return FeatureMap(x.width, x.size)
