"""Real Fourier transforms of maps, of empty batches too, which torch's CPU library refuses.

Called as `fourier.rfft2(x)`, so that each is one node of a graph that `torch.fx` traces: a comparison of shapes cannot be traced.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from search_space.modules.precision import at_least_single
from search_space.shapes import Size

Norm = Literal["backward", "ortho"]


@torch.fx.wrap
def rfft2(x: torch.Tensor, norm: Norm = "backward") -> torch.Tensor:
    """The half spectrum over the last two axes, `(B, ..., H, W) -> (B, ..., H, W//2+1)`, of at least single precision."""
    x = at_least_single(x)
    return torch.fft.rfft2(x, norm=norm) if len(x) else torch.fft.rfft2(with_one(x), norm=norm)[:0]


@torch.fx.wrap
def irfft2(spectrum: torch.Tensor, size: Size, norm: Norm = "backward") -> torch.Tensor:
    """The map of `size` (H, W) of a half spectrum, `(B, ..., H, W//2+1) -> (B, ..., H, W)`."""
    if len(spectrum):
        return torch.fft.irfft2(spectrum, s=size, norm=norm)
    return torch.fft.irfft2(with_one(spectrum), s=size, norm=norm)[:0]


def with_one(x: torch.Tensor) -> torch.Tensor:
    """One sample of zeros after those of the batch."""
    return F.pad(x, (0, 0) * (x.dim() - 1) + (0, 1))
