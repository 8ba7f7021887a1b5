"""The real form of the global filter."""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.dft import HalfSpectrum, MapOfSpectrum
from search_space.modules.global_filter import GlobalFilter
from search_space.modules.portable.registry import replaces
from search_space.modules.precision import at_least_single
from search_space.shapes import Size


@replaces(GlobalFilter)
class RealGlobalFilter(nn.Module):
    """`GlobalFilter` with its filter as real and imaginary parts, `(C, H, W//2+1)` each; `(B, C, H, W) -> (B, C, H, W)`."""

    weight_real: torch.Tensor
    weight_imaginary: torch.Tensor

    def __init__(self, module: GlobalFilter, channels: int, size: Size) -> None:
        super().__init__()
        self.to_spectrum, self.to_map = HalfSpectrum(size), MapOfSpectrum(size)
        real, imaginary = at_least_single(module.complex_weight.detach()).permute(3, 2, 0, 1).unbind()
        self.register_buffer("weight_real", real.contiguous())
        self.register_buffer("weight_imaginary", imaginary.contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        real, imaginary = self.to_spectrum(x)
        filtered_real = real * self.weight_real - imaginary * self.weight_imaginary
        filtered_imaginary = real * self.weight_imaginary + imaginary * self.weight_real
        return self.to_map(filtered_real, filtered_imaginary).to(x.dtype)
