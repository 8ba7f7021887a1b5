"""afno: the adaptive Fourier neural operator (AFNO; Guibas et al., ICLR 2022).

`y = x + irfft2(S(W2 . relu(W1 . X + b1) + b2))`, X = rfft2(x), 'ortho' both ways. W1 and W2 are complex, block-diagonal in
the channels and shared by all modes; relu and the soft shrinkage S act on real and imaginary parts separately.
The residual is inside the mixer. Parameters `w1 (2, blocks, C/blocks, hidden)`, `b1`, `w2`, `b2` as in the published code.

Hard thresholding keeps some modes and sets the others to zero, without their bias. The two published codes differ in which,
and a third choice is what both say they do. With f = `hard_thresholding_fraction`, rows and columns of the half spectrum of an
H x W map numbered from 0, r = int(f * (H//2 + 1)) and c = int(f * (W//2 + 1)):

- "both_axes": the low frequencies of both axes, rows below r and those of the negative frequencies, and columns below c;
- "afno" (NVlabs/AFNO-transformer): columns below c, all rows;
- "fourcastnet" (NVlabs/FourCastNet; Pathak et al., 2022): rows from H//2 + 1 - r to H//2 + r, and columns below r. The spectrum
  is not shifted, so these are the high vertical frequencies first; and the number of columns follows from the height, so
  that f = 1 still drops columns of a map that is wider than high.

At f = 1 the first two keep all modes, and so does the third on square maps.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_space import channel_graph as cdg
from search_space.errors import ArchitectureError
from search_space.mixers.base import MIXERS, TokenMixerSpec, check_divides
from search_space.shapes import Size
from search_space.tape import FeatureMap, Tape

HardThresholding = Literal["both_axes", "afno", "fourcastnet"]


@MIXERS.register
class AFNOSpec(TokenMixerSpec):
    """Adaptive Fourier neural operator, `(B, C, H, W) -> (B, C, H, W)`.

    Args:
        num_blocks: diagonal blocks of the channel matrices; divides the width.
        hidden_size_factor: hidden channels over channels in each block.
        sparsity_threshold: lambda of the soft shrinkage.
        hard_thresholding_fraction: share of the modes kept along an axis.
        hard_thresholding: which modes are kept: "both_axes", "afno" or "fourcastnet", see above.
    """

    name: ClassVar[str] = "afno"
    later_options: ClassVar[frozenset[str]] = frozenset({"hard_thresholding"})
    num_blocks: Annotated[int, Field(ge=1)] = 8
    hidden_size_factor: Annotated[int, Field(ge=1)] = 1
    sparsity_threshold: Annotated[float, Field(ge=0)] = 0.01
    hard_thresholding_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    hard_thresholding: HardThresholding = "both_axes"

    def check(self, width: int, size: Size) -> None:
        check_divides("num_blocks", self.num_blocks, "width", width)
        if self.modes(size) < 1:
            rule = f"keeps no mode of a {size[0]}x{size[1]} map"
            raise ArchitectureError("hard_thresholding_fraction", rule, self.hard_thresholding_fraction)

    def canonical(self, width: int, size: Size) -> AFNOSpec:
        """Where all modes are kept, "both_axes" at fraction 1."""
        if self.hard_thresholding == "both_axes" or self.modes(size) < size[0] * (size[1] // 2 + 1):
            return self
        return self.replace(hard_thresholding="both_axes", hard_thresholding_fraction=1.0)

    def modes(self, size: Size) -> int:
        """The number of complex modes kept."""
        rows, columns = kept_modes(self.hard_thresholding, self.hard_thresholding_fraction, size)
        return sum(map(len, rows)) * columns

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


def kept_modes(thresholding: HardThresholding, fraction: float, size: Size) -> tuple[tuple[range, range], int]:
    """The rows, in two ranges, and the number of columns of the half spectrum `(H, W//2+1)` that are kept."""
    height, whole = size[0], size[1] // 2 + 1
    middle, columns = height // 2 + 1, int(fraction * whole)
    rows = int(fraction * middle)
    match thresholding:
        case "both_axes":
            return (range(rows), range(max(rows, height - rows + 1), height)), columns
        case "afno":
            return (range(height), range(0)), columns
        case "fourcastnet":
            return (range(middle - rows, min(middle + rows, height)), range(0)), min(rows, whole)
