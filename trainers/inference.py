"""Running a module for its outputs alone: what validation and measuring share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluation_mode(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block `module` is in evaluation mode and on `device`; afterwards all modes and the device are as before.

    It is moved outside inference mode: otherwise its weights would become inference tensors, which cannot be trained.
    """
    modes = {child: child.training for child in module.modules()}
    original_device = next((parameter.device for parameter in module.parameters()), device)
    try:
        with torch.inference_mode(False):
            module.eval().to(device)
        yield
    finally:
        with torch.inference_mode(False):
            module.to(original_device)
        for child, mode in modes.items():
            child.training = mode


def dtype_of(module: nn.Module) -> torch.dtype:
    """The dtype of the floating-point parameters of `module`; float32 if it has none."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
