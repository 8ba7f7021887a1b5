"""The real form of the adaptive Fourier neural operator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.modules.afno import AFNO, kept_mode_indices
from search_space.modules.dft import HalfSpectrum, MapOfSpectrum, rotate
from search_space.modules.portable.registry import replaces
from search_space.modules.precision import at_least_single
from search_space.shapes import Size


@replaces(AFNO)
class RealAFNO(nn.Module):
    """`AFNO` with its residual, `(B, C, H, W) -> (B, C, H, W)`.

    `w1` is `(blocks, 2 hidden, C/blocks)` and `w2` `(blocks, 2 C/blocks, hidden)`: real over negative imaginary parts, see
    `rotate`; the biases are `(2, blocks, ..., 1)`.
    `kept` has the flat indices of the modes that are kept, and `placed` the place of each mode among them: the place after the
    last one, which holds a zero, where the mode is dropped.
    """

    w1: torch.Tensor
    b1: torch.Tensor
    w2: torch.Tensor
    b2: torch.Tensor
    kept: torch.Tensor
    placed: torch.Tensor

    def __init__(self, module: AFNO, channels: int, size: Size) -> None:
        super().__init__()
        self.blocks, self.threshold, self.channels = module.blocks, module.threshold, channels
        self.to_spectrum, self.to_map = HalfSpectrum(size), MapOfSpectrum(size)
        self.spectrum = (channels, size[0], size[1] // 2 + 1)
        self.register_buffer("w1", matrices_of(module.w1))
        self.register_buffer("b1", at_least_single(module.b1.detach())[..., None])
        self.register_buffer("w2", matrices_of(module.w2))
        self.register_buffer("b2", at_least_single(module.b2.detach())[..., None])
        modes = size[0] * (size[1] // 2 + 1)
        kept = kept_mode_indices(module.thresholding, module.fraction, *size, torch.device("cpu"))
        self.register_buffer("kept", kept)
        placed = torch.full((modes,), len(kept))
        placed[kept] = torch.arange(len(kept))
        self.register_buffer("placed", placed)
        self.keeps_all = len(kept) == modes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        real, imaginary = (part.flatten(2) for part in self.to_spectrum(x))
        if self.keeps_all:
            real, imaginary = self.mix(real, imaginary)
        else:
            mixed = self.mix(real.index_select(2, self.kept), imaginary.index_select(2, self.kept))
            real, imaginary = (F.pad(part, (0, 1)).index_select(2, self.placed) for part in mixed)
        y = self.to_map(real.unflatten(2, self.spectrum[1:]), imaginary.unflatten(2, self.spectrum[1:]))
        return x + y.to(x.dtype)

    def mix(self, real: torch.Tensor, imaginary: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The two-layer block-diagonal network, the same for every mode, two of `(B, C, modes)` -> two of `(B, C, modes)`."""
        block = (self.blocks, self.channels // self.blocks)
        real, imaginary = rotate(self.w1, real.unflatten(1, block), imaginary.unflatten(1, block))
        real, imaginary = F.relu(real + self.b1[0]), F.relu(imaginary + self.b1[1])
        real, imaginary = rotate(self.w2, real, imaginary)
        real, imaginary = (
            F.softshrink(part + bias, self.threshold).flatten(1, 2)
            for part, bias in zip((real, imaginary), self.b2, strict=True)
        )
        return real, imaginary


def matrices_of(parts: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts `(2, blocks, n, m) -> (blocks, 2 m, n)`, real over negative imaginary."""
    real, imaginary = at_least_single(parts.detach()).mT.unbind()
    return torch.cat((real, -imaginary), dim=1).contiguous()
