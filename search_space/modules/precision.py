"""The precision of what half precision cannot do: CPUs have no Fourier transform of it, and GPUs only of few sizes."""

from __future__ import annotations

import torch


def at_least_single(x: torch.Tensor) -> torch.Tensor:
    """`x` in single precision if it is less precise; double stays double."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
