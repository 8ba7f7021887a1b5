"""Exact costs of an architecture, from the description alone: no forward pass, no torch.

Conventions, here and everywhere in the project:

- one multiply-add = 1 MAC, as fvcore and timm count ("FLOPs" in timm's tables are these MACs);
- MACs count convolutions, linear layers, matrix products and einsums (a complex multiply-add = 4 MACs);
  norms, activations, softmax, pooling, shifts and other elementwise work count nothing;
- Fourier transforms stand apart, as floating-point operations: `5 N log2 N` for a complex transform of N points, half
  of it for a real one (the split-radix convention of FFTW's benchmarks);
- all for one image; parameters count every learned number (running statistics of norms are not learned);
- activation memory is what the backward pass keeps of one image in a training step: the bytes by which a step grows with
  each further image of the batch, at their peak, between forward and backward. In eager PyTorch in float32, 4 bytes a number
  (a complex number is two; the positions of the maxima of a pooling stem are 8 bytes each), the image itself among them.

What activation memory is exactly: the storages that autograd holds, each once however many operations hold it or a
part of it, with every layer computed by its definition's operations on a CPU (modules/eager.py tells when a layer takes others;
in float64 none does, so that is where tests count, with 4 bytes a number). Attention is the fused kernel, which keeps q, k, v,
its output and one number for each query and head; windows have a learned bias and none, so they keep their shares. Copies that
a layer makes because a map does not lie as it needs it are kept too, hence `Map.last`. What does not grow with the batch is
not counted: parameters, statistics of batch norms, tables of positions. Neither is what lives only within an operation. No
stochastic depth and no dropout; on GPUs kernels, and so the numbers, may differ a little.

Every part of an architecture says once, in `trace(x, tape)`, what its forward pass does to a map `x`, as operations of a `Tape`.
The tape adds up what they cost. A map is counted where the first operation keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search_space.architecture import Architecture

Size = tuple[int, int]
BYTES = 4  # of a number


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Args:
        macs: multiply-accumulates.
        params: learned numbers.
        fft_flops: floating-point operations of Fourier transforms, apart from the MACs.
        activation_bytes: what the backward pass keeps of it in a training step, in bytes.
    """

    macs: int = 0
    params: int = 0
    fft_flops: int = 0
    activation_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.params + other.params,
            self.fft_flops + other.fft_flops,
            self.activation_bytes + other.activation_bytes,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(self.macs * times, self.params * times, self.fft_flops * times, self.activation_bytes * times)


class Map:
    """A map of one image on its way through a network.

    Args:
        width: channels.
        size: (height, width).
        last: whether it lies channels last in memory, position after position; else channel after channel.

    Attributes:
        positions, numbers: how many it has.
        kept: whether it has been counted among what the backward pass keeps.
    """

    __slots__ = ("kept", "last", "numbers", "positions", "size", "width")

    def __init__(self, width: int, size: Size, last: bool = False) -> None:
        self.width, self.size, self.last = width, size, last
        self.positions = size[0] * size[1]
        self.numbers = width * self.positions
        self.kept = False

    def like(self) -> Map:
        """Another map of this shape that lies like this one: what elementwise operations make of it, and sums with others."""
        return Map(self.width, self.size, self.last)

    @property
    def by_positions(self) -> bool:
        """True if the channels of each position are neighbours, so that tokens `(N, C)` are no copy."""
        return self.last or self.width == 1 or self.positions == 1

    @property
    def by_channels(self) -> bool:
        """True if the positions of each channel are neighbours, so that channels `(C, N)` are no copy."""
        return not self.last or self.width == 1 or self.positions == 1


class Tape:
    """The forward pass of one image as a sum of costs, written by the layers one after the other.

    Attributes:
        macs, params, fft_flops: as in `Cost`.
        kept: numbers that the backward pass keeps.
    """

    __slots__ = ("fft_flops", "kept", "macs", "params")

    def __init__(self) -> None:
        self.macs = self.params = self.fft_flops = self.kept = 0

    @property
    def cost(self) -> Cost:
        """What has been written so far."""
        return Cost(self.macs, self.params, self.fft_flops, BYTES * self.kept)

    def add(self, macs: int = 0, params: int = 0, fft_flops: int = 0, kept: int = 0) -> None:
        """Costs of an operation that is none of those below; `kept`: numbers kept that are no map of the network's."""
        self.macs += macs
        self.params += params
        self.fft_flops += fft_flops
        self.kept += kept

    def keep(self, x: Map) -> None:
        """An operation keeps `x`."""
        if not x.kept:
            x.kept = True
            self.kept += x.numbers

    def conv(
        self, x: Map, width: int, kernel: int = 1, size: Size | None = None, groups: int = 1, bias: bool = True
    ) -> Map:
        """A `kernel` x `kernel` convolution to `width` channels and a map of `size` (None: that of `x`)."""
        if not x.kept:
            x.kept = True
            self.kept += x.numbers
        y = Map(width, size or x.size, x.last and x.width > 1)
        weights = width * (x.width // groups) * kernel * kernel
        self.macs += weights * y.positions
        self.params += weights + width if bias else weights
        return y

    def linear(self, c_in: int, c_out: int, positions: int = 1) -> None:
        """A linear layer with bias on `positions` tokens; what it keeps is for the caller to say."""
        self.macs += c_in * c_out * positions
        self.params += (c_in + 1) * c_out

    def norm(self, kind: str, x: Map) -> Map:
        """The norm `kind` (macro.py), learned scale and shift; keeps `x`, and means and deviations of positions or images."""
        self.keep(x)
        self.params += 2 * x.width
        if kind == "layer":
            self.kept += 2 * x.positions
            return Map(x.width, x.size, last=True)
        if kind == "group":
            self.kept += 2
        return x.like()

    def act(self, kind: str, x: Map) -> Map:
        """The activation `kind` (macro.py): ReLU keeps what it gives, others what they get."""
        y = x.like()
        self.keep(y if kind == "relu" else x)
        return y

    def scale(self, x: Map) -> Map:
        """A learned scale for each channel."""
        self.keep(x)
        self.params += x.width
        return x.like()

    def pad(self, x: Map, rows: int, columns: int) -> Map:
        """`x` with zeros at right and bottom; itself where there are none to add."""
        return Map(x.width, (x.size[0] + rows, x.size[1] + columns), x.last) if rows or columns else x

    def interlace(self, x: Map, groups: int) -> Map:
        """A shuffle of the channels among `groups`, which is a copy, channel after channel."""
        return Map(x.width, x.size) if 1 < groups < x.width else x

    def halve(self, x: Map) -> Map:
        """Means of 2x2 positions."""
        self.keep(x)
        return Map(x.width, (-(-x.size[0] // 2), -(-x.size[1] // 2)), x.last)

    def real_fft2(self, channels: int, size: Size, times: int = 1) -> None:
        """Real 2-D transforms of each channel's map, forward or inverse; what they keep is for the caller to say."""
        points = size[0] * size[1]
        if points > 1:
            self.fft_flops += times * round(channels * 2.5 * points * math.log2(points))


def alone(trace: Callable[[Map, Tape], object], width: int, size: Size) -> Cost:
    """The cost of a layer by itself on a map of `width` channels and `size`, its input and output among what it may keep."""
    tape = Tape()
    trace(Map(width, size), tape)
    return tape.cost


def cost(architecture: Architecture) -> Cost:
    """The cost of one image through `architecture`, its head included."""
    tape, last = Tape(), architecture.stages[-1]
    image = Map(architecture.in_chans, architecture.image_size)
    x = architecture.stem.trace(image, tape, architecture.stem.width(architecture.stages[0].width))
    for stage in architecture.stages:
        x = stage.trace(x, tape)
    architecture.head.trace(x, tape, architecture.num_classes, last.norm)
    return tape.cost
