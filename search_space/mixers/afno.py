"""afno: the adaptive Fourier neural operator (AFNO; Guibas et al., ICLR 2022).

`y = x + irfft2(S(W2 . relu(W1 . X + b1) + b2))`, X = rfft2(x), 'ortho' both ways. W1 and W2 are complex, block-diagonal in
the channels and shared by all modes; relu and the soft shrinkage S act on real and imaginary parts separately.
The residual is inside the mixer. Parameters `w1 (2, blocks, C/blocks, hidden)`, `b1`, `w2`, `b2` as in the published code.

`hard_thresholding_fraction` keeps the low modes of both axes and sets the others to zero. (The published code slices
the rows around the middle of the unshifted spectrum instead, which keeps high vertical frequencies; at fraction 1 both
are the same.)
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec, check_divides
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape


@MIXERS.register
class AFNOSpec(TokenMixerSpec):
    """Adaptive Fourier neural operator, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        num_blocks: diagonal blocks of the channel matrices; divides the width.
        hidden_size_factor: hidden channels over channels in each block.
        sparsity_threshold: lambda of the soft shrinkage.
        hard_thresholding_fraction: share of the low modes kept along each axis.
    """

    name: ClassVar[str] = "afno"
    num_blocks: Annotated[int, Field(ge=1)] = 8
    hidden_size_factor: Annotated[int, Field(ge=1)] = 1
    sparsity_threshold: Annotated[float, Field(ge=0)] = 0.01
    hard_thresholding_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0

    def check(self, width: int, size: Size) -> None:
        check_divides("num_blocks", self.num_blocks, "width", width)
        if min(self.kept_modes(size)) < 1:
            rule = f"keeps no mode of a {size[0]}x{size[1]} map"
            raise ArchitectureError("hard_thresholding_fraction", rule, self.hard_thresholding_fraction)

    def kept_modes(self, size: Size) -> tuple[int, int]:
        """Non-negative frequencies kept along each axis."""
        fraction = self.hard_thresholding_fraction
        return int(fraction * (size[0] // 2 + 1)), int(fraction * (size[1] // 2 + 1))

    def modes(self, size: Size) -> int:
        """Complex modes kept: rows of both signs, columns of the half spectrum."""
        rows, columns = self.kept_modes(size)
        return min(2 * rows - 1, size[0]) * columns

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.grouped_layer(width, width, self.num_blocks)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        """Saved are x, the modes before each matrix and before the shrinkage, and the matrices: torch copies those of several
        blocks for each image.
        """
        tape.save(x)
        tape.real_fft2(x.width, x.size, times=2)
        modes, block = self.modes(x.size), x.width // self.num_blocks
        hidden = block * self.hidden_size_factor
        weights = 2 * self.num_blocks * block * hidden  # of W1, and as many of W2: real and imaginary parts
        biases = 2 * self.num_blocks * (hidden + block)
        copies = 2 * weights if self.num_blocks > 1 else 0
        spectra = 2 * modes * self.num_blocks * (2 * block + hidden)
        tape.add(macs=modes * 2 * weights * 2, params=2 * weights + biases, saved=spectra + copies)
        return x.like()
