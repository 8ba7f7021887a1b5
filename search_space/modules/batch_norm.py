"""Batch norm of maps, with right gradients on CPUs.

The backward pass of torch's CPU batch norm (and of instance norm, which is computed by it) returns silently wrong gradients,
with a relative error of about 1, in training and evaluation mode and in any precision, for inputs of four axes where

- of the input and the incoming gradient, one lies channels first in memory and the other channels last, and
- a side of the map or the batch is 1, so that the stride of that axis says nothing, and
- the tensor that lies channels last has such a stride that torch's `suggest_memory_format` takes it for channels first.

The kernel then reads both tensors in the format of the input. `x.permute(...).reshape(...)`, slices, `expand` and `einsum` make
such strides; `contiguous(memory_format=torch.channels_last)` leaves them as they are. Found in torch 2.14 by all combinations of
strides against float64; convolutions, poolings, layer and group norms, interpolation and Fourier transforms are right there.
Inputs of two or three axes have no such ambiguous formats.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from search_space.modules.eager import graph_node


class MapBatchNorm(nn.BatchNorm2d):
    """Batch norm of a map, `(B, C, H, W) -> (B, C, H, W)`; of flat positions where torch's own may have wrong gradients."""

    def forward(self, x: torch.Tensor | torch.fx.Proxy) -> Any:
        if isinstance(x, torch.fx.Proxy):  # a call of this module in the traced graph, as for torch's own layers
            return graph_node(self, x)
        return unflatten_positions(super().forward(flatten_positions(x)), x)

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Accept flat positions too."""


def flatten_positions(x: torch.Tensor) -> torch.Tensor:
    """A map whose gradient may come in an ambiguous memory format as positions, without a copy; any other map as it is.

    `(B, C, H, W) -> (B * H * W, C)` if it lies channels last in memory, else `(B, C, H * W)`.
    """
    batch, _, height, width = x.shape
    if (batch > 1 and height > 1 and width > 1) or height * width == 1:
        return x
    if not torch.is_grad_enabled() or x.device.type != "cpu" or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return x
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return x.permute(0, 2, 3, 1).flatten(0, 2)
    return x.flatten(2)


def unflatten_positions(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """What `flatten_positions` made of `x`, or a tensor `y` of its shape, as a map again, `-> (B, C, H, W)`."""
    if y.dim() == 2:
        batch, channels, height, width = x.shape
        return y.view(batch, height, width, channels).permute(0, 3, 1, 2)
    return y.view(x.shape) if y.dim() == 3 else y
