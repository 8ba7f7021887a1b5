"""The global filter of `search_space/mixers/global_filter.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.global_filter import GlobalFilterSpec
from search_space.modules import fourier
from search_space.modules.builders import builds
from search_space.modules.precision import as_complex, at_least_single
from search_space.modules.size_bound import SizeBound
from search_space.shapes import Size


class GlobalFilter(SizeBound):
    """Global filter, `(B, C, H, W) -> (B, C, H, W)`; `complex_weight` `(H, W//2+1, C, 2)`, as GFNet's published weights."""

    def __init__(self, width: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.complex_weight = nn.Parameter(torch.randn(size[0], size[1] // 2 + 1, width, 2) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = as_complex(self.complex_weight).permute(2, 0, 1)  # (C, H, W//2+1)
        spectrum = fourier.rfft2(x, "ortho")
        return fourier.irfft2(spectrum * weight, self.size, "ortho").to(x.dtype)

    def tensors_for_size(self, size: Size) -> dict[str, torch.Tensor]:
        """The filter for another map: `complex_weight` interpolated over its frequencies (bicubic, ends fixed), as in GFNet."""
        rows, columns, channels, _ = self.complex_weight.shape
        maps = at_least_single(self.complex_weight.detach()).reshape(1, rows, columns, -1).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, size=(size[0], size[1] // 2 + 1), mode="bicubic", align_corners=True)
        return {"complex_weight": maps[0].permute(1, 2, 0).unflatten(2, (channels, 2))}


@builds(GlobalFilterSpec)
def build_global_filter(spec: GlobalFilterSpec, width: int, size: Size) -> nn.Module:
    return GlobalFilter(width, size)
