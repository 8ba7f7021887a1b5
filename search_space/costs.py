"""Exact costs of an architecture, from the description alone: no forward pass, no torch.

Conventions, here and everywhere in the project:

- one multiply-add = 1 MAC, as fvcore and timm count ("FLOPs" in timm's tables are these MACs);
- MACs count convolutions, linear layers, matrix products and einsums (a complex multiply-add = 4 MACs);
  norms, activations, softmax, pooling, shifts and other elementwise work count nothing;
- Fourier transforms stand apart, as floating-point operations: `5 N log2 N` for a complex transform of N points, half
  of it for a real one (the split-radix convention of FFTW's benchmarks);
- all for one image; parameters count every learned number (running statistics of norms are not learned).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search_space.architecture import Architecture

Size = tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Args:
        macs: multiply-accumulates.
        params: learned numbers.
        fft_flops: floating-point operations of Fourier transforms, apart from the MACs.
    """

    macs: int = 0
    params: int = 0
    fft_flops: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.macs + other.macs, self.params + other.params, self.fft_flops + other.fft_flops)

    def __mul__(self, times: int) -> Cost:
        return Cost(self.macs * times, self.params * times, self.fft_flops * times)


def conv(c_in: int, c_out: int, kernel: int, size_out: Size, groups: int = 1, bias: bool = True) -> Cost:
    """A `kernel` x `kernel` convolution that gives a map of `size_out`."""
    weights = c_out * (c_in // groups) * kernel * kernel
    return Cost(macs=weights * size_out[0] * size_out[1], params=weights + (c_out if bias else 0))


def linear(c_in: int, c_out: int, positions: int = 1, bias: bool = True) -> Cost:
    """A linear layer on `positions` tokens."""
    return Cost(macs=c_in * c_out * positions, params=c_in * c_out + (c_out if bias else 0))


def norm(channels: int) -> Cost:
    """A norm with a learned scale and shift."""
    return Cost(params=2 * channels)


def real_fft2(channels: int, size: Size) -> Cost:
    """One real 2-D transform of each channel's map, forward or inverse."""
    points = size[0] * size[1]
    return Cost(fft_flops=round(channels * 2.5 * points * math.log2(points)) if points > 1 else 0)


def cost(architecture: Architecture) -> Cost:
    """The cost of one image through `architecture`, its head included."""
    total = architecture.stem.cost(architecture.in_chans, *architecture.entries[0])
    for stage, (width, size) in zip(architecture.stages, architecture.entries, strict=True):
        total = total + stage.cost(width, size)
    return total + architecture.head.cost(architecture.stages[-1].width, architecture.num_classes)
