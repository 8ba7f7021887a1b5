"""The adaptive Fourier neural operator of `search_space/mixers/afno.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.layers.precision import at_least_single


class AFNO(nn.Module):
    """Adaptive Fourier neural operator with its residual, `(B, C, H, W) -> (B, C, H, W)`.

    `w1` is `(2, blocks, C/blocks, hidden)`: real and imaginary parts; so are `b1`, `w2` and `b2`.
    """

    def __init__(self, width: int, blocks: int, factor: int, threshold: float, fraction: float) -> None:
        super().__init__()
        self.blocks, self.threshold, self.fraction = blocks, threshold, fraction
        block, hidden = width // blocks, width // blocks * factor
        self.w1 = nn.Parameter(0.02 * torch.randn(2, blocks, block, hidden))
        self.b1 = nn.Parameter(0.02 * torch.randn(2, blocks, hidden))
        self.w2 = nn.Parameter(0.02 * torch.randn(2, blocks, hidden, block))
        self.b2 = nn.Parameter(0.02 * torch.randn(2, blocks, block))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        spectrum = torch.fft.rfft2(at_least_single(x), norm="ortho")  # (B, C, H, W//2+1)
        if self.fraction == 1:
            spectrum = self.mix(spectrum)
        else:
            rows, columns = self.kept(height, width, x.device)
            low = self.mix(spectrum[:, :, rows, :columns])
            spectrum = torch.zeros_like(spectrum)
            spectrum[:, :, rows, :columns] = low
        return x + torch.fft.irfft2(spectrum, s=(height, width), norm="ortho").to(x.dtype)

    def kept(self, height: int, width: int, device: torch.device) -> tuple[torch.Tensor, int]:
        """The rows (both signs) and the number of columns of the low modes."""
        low, columns = int(self.fraction * (height // 2 + 1)), int(self.fraction * (width // 2 + 1))
        row = torch.arange(height, device=device)
        return row[torch.minimum(row, height - row) < low], columns

    def mix(self, spectrum: torch.Tensor) -> torch.Tensor:
        """The two-layer block-diagonal network, alike on every mode, `(B, C, h, w) -> (B, C, h, w)` complex."""
        batch, channels, height, width = spectrum.shape
        modes = torch.view_as_real(spectrum).view(batch, self.blocks, channels // self.blocks, height, width, 2)
        modes = torch.einsum("bgihwc,gicod->bgohwd", modes, as_real_matrix(at_least_single(self.w1)))
        modes = F.relu(modes + as_real_bias(at_least_single(self.b1)))
        modes = torch.einsum("bgihwc,gicod->bgohwd", modes, as_real_matrix(at_least_single(self.w2)))
        modes = F.softshrink(modes + as_real_bias(at_least_single(self.b2)), self.threshold)
        return torch.view_as_complex(modes.contiguous()).view(batch, channels, height, width)


def as_real_matrix(weight: torch.Tensor) -> torch.Tensor:
    """Complex matrices as real ones on (real, imaginary) pairs, `(2, G, I, O) -> (G, I, 2, O, 2)`."""
    real, imaginary = weight[0], weight[1]
    from_real = torch.stack((real, imaginary), dim=-1)  # (G, I, O, 2): what a real input adds to both output parts
    from_imaginary = torch.stack((-imaginary, real), dim=-1)
    return torch.stack((from_real, from_imaginary), dim=2)


def as_real_bias(bias: torch.Tensor) -> torch.Tensor:
    """`(2, G, O) -> (G, O, 1, 1, 2)`."""
    return bias.permute(1, 2, 0)[:, :, None, None, :]
