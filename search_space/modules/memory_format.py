"""Memory formats of parameters with five axes.

`module.to(memory_format=torch.channels_last)` asks it of all parameters with four or five axes, and torch refuses it for five.
Networks with such parameters must not fail there: the format is meant for their images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Change = Callable[[torch.Tensor], torch.Tensor]


def apply_to_four_axes(change: Change) -> Change:
    """`change`, what `nn.Module._apply` does to each parameter, for five axes as well: applied to the last two as one.

    A tensor of five axes is contiguous afterwards.
    """

    def apply(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dim() != 5:
            return change(tensor)
        return change(tensor.flatten(3)).unflatten(3, tensor.shape[3:]).contiguous()

    return apply
