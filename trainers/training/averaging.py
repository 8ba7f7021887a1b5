"""The weights of a module averaged over the steps of its training, newest first (Polyak and Juditsky, 1992).

After step t, from 0, each value of the average moves towards that of the module: `average += (1 - decay_t) (value -
average)` with `decay_t = min(decay, (1 + t) / (10 + t))`, so that the first, random weights are soon forgotten, in short
trainings too. What a norm has counted of the data is averaged likewise.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """The average of `module`, on its device.

    Attributes:
        module: a copy of the module, in evaluation mode, that holds the averaged values; it has no gradients.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        pairs = list(zip(self.module.state_dict().values(), module.state_dict().values(), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point() or pair[0].is_complex()]
        self._averaged, self._values = [mine for mine, _ in floats], [value for _, value in floats]
        self._counts = [pair for pair in pairs if not (pair[0].is_floating_point() or pair[0].is_complex())]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the values after `step` of the training, counted from 0."""
        torch._foreach_lerp_(self._averaged, self._values, 1 - decay_at(step, self.decay))
        for count, newest in self._counts:
            count.copy_(newest)


def decay_at(step: int, decay: float) -> float:
    """The decay after `step`, counted from 0."""
    return min(decay, (1 + step) / (10 + step))
