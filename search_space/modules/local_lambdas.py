"""Position lambdas of a local context: a convolution of each value from u to k channels, with gradients that are fast on CPUs.

The k channels are the last axis in memory, so that the lambdas of a position are a matrix that multiplies its queries without
a copy. oneDNN takes several times as long for the gradient of the values as for the convolution itself, because it has no fast
kernel from many channels to one. It has one for depthwise convolutions: each channel of the gradient is convolved separately,
and the results are summed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from search_space.modules.depthwise import MAX_FAST_PADDING, correlate

Tensor = torch.Tensor
CHANNELS_LAST = torch.channels_last_3d


class LocalLambdas(torch.autograd.Function):
    """`(B, u, H, W, v) -> (B, k, H, W, v)` by `weight` `(k, u, r, r, 1)`, r odd, and `bias` `(k,)`; zeros around the map."""

    @staticmethod
    def forward(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        reach = weight.shape[2] // 2
        if reach <= MAX_FAST_PADDING:
            values = values.contiguous(memory_format=CHANNELS_LAST)
            y = F.conv3d(values, weight, bias, padding=(reach, reach, 0))
        else:  # for wide kernels the channels-first kernel is so much faster that a copy pays
            values, weight = values.permute(0, 1, 4, 2, 3), weight.permute(0, 1, 4, 2, 3)
            y = F.conv3d(values, weight, bias, padding=(0, reach, reach)).permute(0, 1, 3, 4, 2)
        return y.contiguous(memory_format=CHANNELS_LAST)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        values, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=CHANNELS_LAST)
        of_values, of_weight, of_bias = ctx.needs_input_grad
        split = of_values and values.shape[1] == 1
        by_library = _by_library(gradient, values, weight, (of_values and not split, of_weight))
        return (
            _by_channels(gradient, weight) if split else by_library[0],
            by_library[1],
            gradient.sum((0, 2, 3, 4)) if of_bias else None,
        )


def _by_library(gradient: Tensor, values: Tensor, weight: Tensor, needed: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    """The gradients of values and weight by torch's own kernels; `needed`: which of the two."""
    values, weight = (tensor.contiguous(memory_format=CHANNELS_LAST) for tensor in (values, weight))
    reach, ones, zeros = weight.shape[2] // 2, [1, 1, 1], [0, 0, 0]
    of_values, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, values, weight, None, ones, [reach, reach, 0], ones, False, zeros, 1, [*needed, False]
    )
    return of_values, of_weight


def _by_channels(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient of values `(B, 1, H, W, v)`: a depthwise convolution of v * k channels, then the sum over k."""
    batch, k, height, width, v = gradient.shape
    kernels = weight[:, :, :, :, 0].flip(2, 3).repeat(v, 1, 1, 1)  # (v * k, 1, r, r)
    maps = gradient.permute(0, 4, 1, 2, 3).reshape(batch, v * k, height, width)  # channels last, no copy
    parts = correlate(maps, kernels).permute(0, 2, 3, 1).reshape(-1, k)
    return (parts @ parts.new_ones(k)).view(batch, 1, height, width, v)
