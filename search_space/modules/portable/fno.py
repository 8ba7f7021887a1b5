"""The real form of the Fourier neural operator."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from search_space.modules.dft import HalfSpectrum, MapOfSpectrum, Pair
from search_space.modules.fno import FNO
from search_space.modules.portable.registry import replaces
from search_space.modules.precision import at_least_single
from search_space.shapes import Size


@replaces(FNO)
class RealFNO(nn.Module):
    """`FNO`, `(B, C, H, W) -> (B, C, H, W)`.

    `upper` and `lower` are `(modes, C_in, 2 C_out)`, real parts before imaginary parts, for the upper and the lower rows.
    Both transforms are normalised alike, which changes nothing: the layer between them is linear.
    """

    upper: torch.Tensor
    lower: torch.Tensor

    def __init__(self, module: FNO, channels: int, size: Size) -> None:
        super().__init__()
        self.to_spectrum, self.to_map = HalfSpectrum(size), MapOfSpectrum(size)
        self.height, self.half_width = size[0], size[1] // 2 + 1
        self.top, self.columns = module.weights1.shape[2:4]
        self.bottom = module.weights2.shape[2]
        self.register_buffer("upper", matrices_of(module.weights1))
        self.register_buffer("lower", matrices_of(module.weights2))
        self.w = copy.deepcopy(module.w)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = [part[..., : self.columns] for part in self.to_spectrum(x)]
        upper = mix((spectrum[0][:, :, : self.top], spectrum[1][:, :, : self.top]), self.upper)
        start = self.height - self.bottom
        lower = mix((spectrum[0][:, :, start:], spectrum[1][:, :, start:]), self.lower)
        missing = (0, self.half_width - self.columns, 0, start - self.top)
        parts = [
            torch.cat((F.pad(top, missing), F.pad(bottom, missing[:2])), dim=2)
            for top, bottom in zip(upper, lower, strict=True)
        ]
        return F.gelu(self.to_map(*parts).to(x.dtype) + self.w(x))


def matrices_of(weights: torch.Tensor) -> torch.Tensor:
    """`(C_in, C_out, h, w, 2) -> (h * w, C_in, 2 C_out)`."""
    return at_least_single(weights.detach()).permute(2, 3, 0, 4, 1).flatten(3).flatten(0, 1).contiguous()


def mix(modes: Pair, matrices: torch.Tensor) -> Pair:
    """Each mode by its own matrix, two of `(B, C, h, w)` -> two of `(B, C, h, w)`."""
    real, imaginary = (part.flatten(2).permute(2, 0, 1) @ matrices for part in modes)  # (h * w, B, 2 C_out)
    out = matrices.shape[2] // 2
    mixed = (real[..., :out] - imaginary[..., out:], real[..., out:] + imaginary[..., :out])
    rows_columns = modes[0].shape[2:]
    return mixed[0].permute(1, 2, 0).unflatten(2, rows_columns), mixed[1].permute(1, 2, 0).unflatten(2, rows_columns)
