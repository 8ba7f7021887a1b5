"""global_filter: a learned filter in the frequency domain, one for each channel (GFNet; Rao et al., NeurIPS 2021).

`y = irfft2(rfft2(x) * K)`, 'ortho' both ways; K complex, stored as `complex_weight` `(H, W//2+1, C, 2)`. It is a global
circular convolution at O(N log N); K is bound to the map size, and interpolated for another one as in the published code. K
begins as 0.02 times normal numbers, so a new filter lets little of its input through: GFNet's block has its residual outside.
"""

from __future__ import annotations

from typing import ClassVar

from search_space import channel_graph as cdg
from search_space.mixers.base import MIXERS, TokenMixerSpec
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class GlobalFilterSpec(TokenMixerSpec):
    """Global filter, `(B, C, H, W) -> (B, C, H, W)`, bound to its map size; no options."""

    name: ClassVar[str] = "global_filter"

    @property
    def is_bound_to_size(self) -> bool:
        return True

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        tape.save(x)
        tape.real_fft2(x.width, x.size, times=2)
        numbers = x.size[0] * (x.size[1] // 2 + 1) * x.width * 2  # of the filter, and of the spectrum
        tape.add(params=numbers, saved=numbers)
        return FeatureMap(x.width, x.size)
