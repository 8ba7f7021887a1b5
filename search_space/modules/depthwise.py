"""Depthwise convolution with 'same' padding and gradients that are fast on CPUs.

oneDNN has fast kernels for a wide depthwise convolution, but the gradient of its weights falls back to one matrix product a
channel, ten times slower than all the rest; and so does the convolution itself for kernels over 13 wide, or over twice the
map. Both have the form of a fast one:

    dW[c, a, b] = sum_n sum_ij x[n, c, i+a-p, j+b-p] g[n, c, i, j]   a depthwise convolution of n*c channels, its kernels the g
    conv(x, W)  = conv_transpose(x, W turned by 180 degrees)         or, channels last, the convolution of a padded map
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from search_space.modules.eager import may_bypass, may_rewrite, needs_gradients

MAX_KERNEL_WITH_FAST_GRADIENT = 3  # kernel width up to which oneDNN has a kernel for the gradient of the weights
MAX_FAST_PADDING = 6  # padding up to which it has one for the convolution

Tensor = torch.Tensor


def run_depthwise(module: nn.Conv2d, x: Tensor, kernel: tuple[int, int]) -> Tensor:
    """The depthwise convolution `module` with 'same' padding, `(B, C, H, W) -> (B, C, H, W)`; called if it has hooks."""
    if may_bypass(module):
        return depthwise_conv(x, module.weight, module.bias, kernel)
    rows, columns = kernel
    is_even = rows % 2 == 0 or columns % 2 == 0
    return module(F.pad(x, (0, 1 - columns % 2, 0, 1 - rows % 2)) if is_even else x)


@torch.fx.wrap  # one node of a traced graph; the kernel is chosen when it runs
def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: tuple[int, int]) -> Tensor:
    """Each channel by its own `kernel` of rows and columns, `(B, C, H, W) -> (B, C, H, W)`; `weight` `(C, 1, *kernel)`.

    Zeros surround the map; an even kernel sees one pixel more at the right and the bottom.
    """
    rows, columns = kernel
    before = ((rows - 1) // 2, (columns - 1) // 2)
    uneven = (1 - columns % 2, 1 - rows % 2)  # 1 for an even side
    gradients = needs_gradients(x, weight)
    is_faster = gradients or any(uneven) or max(before) > MAX_FAST_PADDING
    if columns > MAX_KERNEL_WITH_FAST_GRADIENT and is_faster and may_rewrite(x, weight) and x.shape[2] * x.shape[3] > 1:
        # An odd kernel whose first row and column are zero is the even one, and the map need not be padded.
        odd = F.pad(weight, (uneven[0], 0, uneven[1], 0)) if any(uneven) else weight
        run = DepthwiseConv.apply if gradients else correlate
        return run(x, odd, bias)
    if any(uneven):
        x = F.pad(x, (0, uneven[0], 0, uneven[1]))
    return F.conv2d(x, weight, bias, padding=before, groups=weight.shape[0])


class DepthwiseConv(torch.autograd.Function):
    """`(B, C, H, W) -> (B, C, H, W)` by odd kernels `(C, 1, rows, columns)`, zeros around the map."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return correlate(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (x, weight), (gradient,) = ctx.saved_tensors, gradients
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            correlate(gradient, weight.flip(2, 3)) if of_x else None,
            kernel_gradient(x, gradient, (weight.shape[2], weight.shape[3])) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias else None,
        )


def correlate(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`(B, C, H, W) -> (B, C, H, W)` by odd kernels `(C, 1, rows, columns)`, zeros around the map."""
    padding, channels = (weight.shape[2] // 2, weight.shape[3] // 2), weight.shape[0]
    if has_fast_kernel(padding, x) or not x.is_contiguous():
        return F.conv2d(x, weight, bias, padding=padding, groups=channels)
    return F.conv_transpose2d(x, weight.flip(2, 3), bias, padding=padding, groups=channels)


def kernel_gradient(x: Tensor, gradient: Tensor, kernel: tuple[int, int]) -> Tensor:
    """The gradient of odd kernels, `(C, 1, *kernel)`, from the maps and their gradient, `(B, C, H, W)` both."""
    batch, channels, height, width = gradient.shape
    padding = (kernel[0] // 2, kernel[1] // 2)
    if not has_fast_kernel(padding, x):
        x, padding = pad(x, padding), (0, 0)
    maps = x.reshape(1, batch * channels, *x.shape[2:])
    kernels = gradient.reshape(batch * channels, 1, height, width)
    return F.conv2d(maps, kernels, padding=padding, groups=batch * channels).view(batch, channels, 1, *kernel).sum(0)


def has_fast_kernel(padding: tuple[int, int], x: Tensor) -> bool:
    """True if oneDNN has a fast convolution of maps `x` with this padding."""
    return max(padding) <= MAX_FAST_PADDING and padding[0] < x.shape[2] and padding[1] < x.shape[3]


def pad(x: Tensor, padding: tuple[int, int]) -> Tensor:
    """`x` with zeros around it: rows above and below, columns left and right."""
    return F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
