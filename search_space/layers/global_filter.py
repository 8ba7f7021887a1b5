"""The global filter of `search_space/mixers/global_filter.py`."""

from __future__ import annotations

import torch
from torch import nn

from search_space.costs import Size
from search_space.layers.precision import at_least_single


class GlobalFilter(nn.Module):
    """Global filter, `(B, C, H, W) -> (B, C, H, W)`; `complex_weight` `(H, W//2+1, C, 2)`, as GFNet's published weights."""

    def __init__(self, width: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.complex_weight = nn.Parameter(torch.randn(size[0], size[1] // 2 + 1, width, 2) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = torch.view_as_complex(at_least_single(self.complex_weight)).permute(2, 0, 1)  # (C, H, W//2+1)
        spectrum = torch.fft.rfft2(at_least_single(x), norm="ortho")
        return torch.fft.irfft2(spectrum * weight, s=self.size, norm="ortho").to(x.dtype)
