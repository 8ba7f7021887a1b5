"""The pooling mixer of `search_space/mixers/pool.py`.

On GPUs the gradient of torch's average pooling is silently wrong, by a third of its norm, for maps that lie channels last in
memory and are padded. Found in torch 2.11 (pytorch/pytorch#188344); right without padding, and with channels first.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.pool import PoolSpec
from search_space.modules.builders import builds
from search_space.modules.depthwise import correlate
from search_space.modules.eager import may_rewrite, needs_gradients, runs_eagerly
from search_space.shapes import Size


class Pooling(nn.Module):
    """`avgpool_k(x) - x`, `(B, C, H, W) -> (B, C, H, W)`; padding is not counted in the average."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return pool_minus_input(x, self.k)


@torch.fx.wrap  # one node of a traced graph, the kernel is chosen when it runs
def pool_minus_input(x: torch.Tensor, k: int) -> torch.Tensor:
    """`avgpool_k(x) - x`, `(B, C, H, W) -> (B, C, H, W)`."""
    if isinstance(x, torch.Tensor) and x.is_cuda and needs_gradients(x):
        return PoolMinusInput.apply(x, k) if runs_eagerly(x) else pool_padded_map(x, k) - x
    if not may_rewrite(x):
        return average(x, k) - x
    run = PoolMinusInput.apply if needs_gradients(x) else PoolMinusInput.forward
    return run(x, k)


def average(x: torch.Tensor, k: int) -> torch.Tensor:
    """`avgpool_k(x)`, `(B, C, H, W) -> (B, C, H, W)`."""
    return F.avg_pool2d(x, k, stride=1, padding=k // 2, count_include_pad=False)


def pool_padded_map(x: torch.Tensor, k: int) -> torch.Tensor:
    """`avgpool_k(x)` by a pooling without padding, whose gradient is right on GPUs, `(B, C, H, W) -> (B, C, H, W)`."""
    means = F.avg_pool2d(F.pad(x, [k // 2] * 4), k, stride=1)  # of k * k pixels, zeros outside the map
    return means * (window_weights(x, k) * k**2)


class PoolMinusInput(torch.autograd.Function):
    """The mean of the `k` x `k` window inside the map, minus the pixel, `(B, C, H, W) -> (B, C, H, W)`.

    The sum over windows is its own adjoint: with weight = 1 / (pixels of the window inside the map), `y = weight * sum(x) - x`
    has the gradient `dx = sum(weight * dy) - dy`.
    """

    @staticmethod
    def forward(x: torch.Tensor, k: int) -> torch.Tensor:
        means = average(x, k) if x.is_cuda else window_sums(x, k).mul_(window_weights(x, k))
        return means.sub_(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, int], output: torch.Tensor) -> None:
        ctx.k = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = gradients
        return window_sums(gradient * window_weights(gradient, ctx.k), ctx.k) - gradient, None


def window_sums(x: torch.Tensor, k: int) -> torch.Tensor:
    """The sum over the window of each pixel, `(B, C, H, W) -> (B, C, H, W)`.

    On CPUs torch pools maps of contiguous channels number by number; a convolution with ones is several times faster.
    """
    if x.is_cuda:
        return F.avg_pool2d(F.pad(x, [k // 2] * 4), k, stride=1, divisor_override=1)
    return correlate(x, x.new_ones(x.shape[1], 1, k, k))


def window_weights(x: torch.Tensor, k: int) -> torch.Tensor:
    """One over the number of pixels of each window inside the map, `(B, C, H, W) -> (1, 1, H, W)`."""
    ones = x.new_ones(1, 1, *x.shape[2:])
    return F.avg_pool2d(ones, k, stride=1, padding=k // 2, divisor_override=1).reciprocal()


@builds(PoolSpec)
def build_pool(spec: PoolSpec, width: int, size: Size) -> nn.Module:
    return Pooling(spec.k)
