"""Exact costs from descriptions alone: no forward pass, no torch.

Conventions, here and everywhere in the project:

- one multiply-add = 1 MAC, as fvcore and timm count ("FLOPs" in timm's tables are these MACs);
- MACs count convolutions, linear layers, matrix products and einsums (a complex multiply-add = 4 MACs), also where the sums have
  one term, as on maps of one position, or in a lambda layer of k = 1;
  norms, activations, softmax, pooling, shifts and other elementwise operations are not counted;
- Fourier transforms are counted separately, as floating-point operations: `5 N log2 N` for a complex transform of N points,
  half of that for a real one (the split-radix convention of FFTW's benchmarks);
- all for one image; parameters count every learned number (running statistics of norms are not learned);
- activation memory is what autograd saves of one image in a training step: the bytes by which the peak between forward and
  backward grows with each further image of the batch. In eager PyTorch in float32: 4 bytes a number (a complex number is two;
  the indices of the maxima of a pooling stem are 8 bytes each); the image itself is included.

The exact definition of activation memory: the storages that autograd saves, each once however many operations save it or a
view of it, where every layer is computed by the operations of its definition on a CPU (modules/eager.py says when a layer
takes others; in float64 none does, so the tests count there, with 4 bytes a number). Attention is the fused kernel, which saves
q, k, v, its output and one number for each query and head; windows have a learned bias and no fused kernel, so they save their
attention weights. Copies that a layer makes because a map is not in the memory format that it needs are saved too, hence
`FeatureMap.channels_last`. What does not grow with the batch is not counted: parameters, statistics of batch norms, tables
of positions. Neither is what lives only within an operation. No stochastic depth and no dropout; on GPUs kernels, and so the
numbers, may differ a little.

Every description says once, in `trace(x, tape)`, what the forward pass of its module does to a feature map `x`, as operations of
a `Tape`. The tape adds up their costs. A map is counted when the first operation saves it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from search_space.norm import Norm
from search_space.shapes import Size, strided_size

BYTES_PER_NUMBER = 4


@dataclass(frozen=True)
class Cost:
    """The cost of one image.

    Args:
        macs: multiply-accumulates.
        params: learned numbers.
        fft_flops: floating-point operations of Fourier transforms, not included in the MACs.
        activation_bytes: what autograd saves of it in a training step, in bytes.
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


class FeatureMap:
    """The feature map of one image at a point of the forward pass.

    Args:
        width: channels.
        size: (height, width).
        channels_last: whether its memory format is channels last (`torch.channels_last`); else contiguous.

    Attributes:
        positions, numel: numbers of positions and of elements.
        saved: whether it has been counted among what autograd saves.
    """

    __slots__ = ("channels_last", "numel", "positions", "saved", "size", "width")

    def __init__(self, width: int, size: Size, channels_last: bool = False) -> None:
        self.width, self.size, self.channels_last = width, size, channels_last
        self.positions = size[0] * size[1]
        self.numel = width * self.positions
        self.saved = False

    def like(self) -> FeatureMap:
        """Another map of this shape and memory format: the output of elementwise operations, and of sums with others."""
        return FeatureMap(self.width, self.size, self.channels_last)

    @property
    def has_token_view(self) -> bool:
        """True if the channels of each position are contiguous, so that tokens `(N, C)` are a view."""
        return self.channels_last or self.width == 1 or self.positions == 1

    @property
    def has_channel_view(self) -> bool:
        """True if the positions of each channel are contiguous, so that channels `(C, N)` are a view."""
        return not self.channels_last or self.width == 1 or self.positions == 1


class Tape:
    """The forward pass of one image as a sum of costs, recorded layer by layer.

    Attributes:
        macs, params, fft_flops: as in `Cost`.
        saved: numbers that autograd saves.
    """

    __slots__ = ("fft_flops", "macs", "params", "saved")

    def __init__(self) -> None:
        self.macs = self.params = self.fft_flops = self.saved = 0

    @property
    def cost(self) -> Cost:
        """The cost of what has been recorded so far."""
        return Cost(self.macs, self.params, self.fft_flops, BYTES_PER_NUMBER * self.saved)

    def add(self, macs: int = 0, params: int = 0, fft_flops: int = 0, saved: int = 0) -> None:
        """Costs of an operation other than those below; `saved`: saved numbers that belong to no feature map."""
        self.macs += macs
        self.params += params
        self.fft_flops += fft_flops
        self.saved += saved

    def save(self, x: FeatureMap) -> None:
        """An operation saves `x` for its backward pass."""
        if not x.saved:
            x.saved = True
            self.saved += x.numel

    def conv(
        self, x: FeatureMap, width: int, kernel: int = 1, size: Size | None = None, groups: int = 1, bias: bool = True
    ) -> FeatureMap:
        """A `kernel` x `kernel` convolution to `width` channels and a map of `size` (None: that of `x`)."""
        if not x.saved:
            x.saved = True
            self.saved += x.numel
        y = FeatureMap(width, size or x.size, x.channels_last and x.width > 1)
        weights = width * (x.width // groups) * kernel * kernel
        self.macs += weights * y.positions
        self.params += weights + width if bias else weights
        return y

    def linear(self, c_in: int, c_out: int, positions: int = 1) -> None:
        """A linear layer with bias on `positions` tokens; what it saves is recorded by the caller."""
        self.macs += c_in * c_out * positions
        self.params += (c_in + 1) * c_out

    def norm(self, norm: Norm, x: FeatureMap) -> FeatureMap:
        """A norm (norm.py) with scale and shift; saves `x`, and mean and deviation of positions or images."""
        self.save(x)
        self.params += 2 * x.width
        kind = norm if isinstance(norm, str) else norm.name
        if kind == "layer":
            self.saved += 2 * x.positions
            return FeatureMap(x.width, x.size, channels_last=True)
        if kind == "group":
            self.saved += 2
        return x.like()

    def act(self, kind: str, x: FeatureMap) -> FeatureMap:
        """The activation `kind` (field_types.py): ReLU saves its output, others their input."""
        y = x.like()
        self.save(y if kind == "relu" else x)
        return y

    def scale(self, x: FeatureMap) -> FeatureMap:
        """A learned scale for each channel."""
        self.save(x)
        self.params += x.width
        return x.like()

    def pad(self, x: FeatureMap, rows: int, columns: int) -> FeatureMap:
        """`x` padded with zeros at the right and the bottom; `x` itself where there are none to add."""
        if not (rows or columns):
            return x
        return FeatureMap(x.width, (x.size[0] + rows, x.size[1] + columns), x.channels_last)

    def interlace(self, x: FeatureMap, groups: int) -> FeatureMap:
        """A shuffle of the channels among `groups`, which is a contiguous copy."""
        return FeatureMap(x.width, x.size) if 1 < groups < x.width else x

    def avg_pool2x2(self, x: FeatureMap) -> FeatureMap:
        """Means of 2x2 positions with stride 2."""
        self.save(x)
        return FeatureMap(x.width, strided_size(x.size, 2), x.channels_last)

    def real_fft2(self, channels: int, size: Size, times: int = 1) -> None:
        """Real 2-D transforms of each channel's map, forward or inverse; what they save is recorded by the caller."""
        points = size[0] * size[1]
        if points > 1:
            self.fft_flops += times * round(channels * 2.5 * points * math.log2(points))


def cost_of_layer(trace: Callable[[FeatureMap, Tape], object], width: int, size: Size) -> Cost:
    """The cost of a layer by itself on a map of `width` channels and `size`, including what it saves of input and output."""
    tape = Tape()
    trace(FeatureMap(width, size), tape)
    return tape.cost
