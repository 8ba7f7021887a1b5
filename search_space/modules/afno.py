"""The adaptive Fourier neural operator of `search_space/mixers/afno.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.afno import AFNOSpec, HardThresholding, kept_modes
from search_space.modules.builders import builds
from search_space.modules.precision import as_complex, at_least_single
from search_space.shapes import Size


class AFNO(nn.Module):
    """Adaptive Fourier neural operator with its residual, `(B, C, H, W) -> (B, C, H, W)`.

    `w1` is `(2, blocks, C/blocks, hidden)`: real and imaginary parts; so are `b1`, `w2` and `b2`.
    """

    def __init__(
        self,
        width: int,
        blocks: int,
        factor: int,
        threshold: float,
        fraction: float,
        thresholding: HardThresholding = "both_axes",
    ) -> None:
        super().__init__()
        self.blocks, self.threshold, self.fraction, self.thresholding = blocks, threshold, fraction, thresholding
        block, hidden = width // blocks, width // blocks * factor
        self.w1 = nn.Parameter(0.02 * torch.randn(2, blocks, block, hidden))
        self.b1 = nn.Parameter(0.02 * torch.randn(2, blocks, hidden))
        self.w2 = nn.Parameter(0.02 * torch.randn(2, blocks, hidden, block))
        self.b2 = nn.Parameter(0.02 * torch.randn(2, blocks, block))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        spectrum = torch.fft.rfft2(at_least_single(x), norm="ortho")  # (B, C, H, W//2+1)
        if self.fraction == 1 and self.thresholding == "both_axes":
            spectrum = self.mix(spectrum)
        else:
            rows, columns = self.kept_modes(height, width, x.device)
            kept = self.mix(spectrum[:, :, rows, :columns])
            spectrum = torch.zeros_like(spectrum)
            spectrum[:, :, rows, :columns] = kept
        return x + torch.fft.irfft2(spectrum, s=(height, width), norm="ortho").to(x.dtype)

    def kept_modes(self, height: int, width: int, device: torch.device) -> tuple[torch.Tensor, int]:
        """The rows and the number of columns of the modes that are kept."""
        ranges, columns = kept_modes(self.thresholding, self.fraction, (height, width))
        return torch.cat([torch.arange(rows.start, rows.stop, device=device) for rows in ranges]), columns

    def mix(self, spectrum: torch.Tensor) -> torch.Tensor:
        """The two-layer block-diagonal network, the same for every mode, `(B, C, h, w) -> (B, C, h, w)` complex."""
        batch, channels, height, width = spectrum.shape
        # Modes last: the matrices then multiply the spectrum without copying it.
        modes = spectrum.reshape(batch, self.blocks, channels // self.blocks, height * width)
        modes = torch.matmul(complex_weights(self.w1).transpose(1, 2), modes) + complex_weights(self.b1)[..., None]
        modes = torch.view_as_complex(F.relu(torch.view_as_real(modes)))
        modes = torch.matmul(complex_weights(self.w2).transpose(1, 2), modes) + complex_weights(self.b2)[..., None]
        modes = torch.view_as_complex(F.softshrink(torch.view_as_real(modes), self.threshold))
        return modes.view(batch, channels, height, width)


def complex_weights(parts: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts as complex numbers, `(2, ...) -> (...)`."""
    return as_complex(parts.movedim(0, -1))


@builds(AFNOSpec)
def build_afno(spec: AFNOSpec, width: int, size: Size) -> nn.Module:
    return AFNO(
        width,
        spec.num_blocks,
        spec.hidden_size_factor,
        spec.sparsity_threshold,
        spec.hard_thresholding_fraction,
        spec.hard_thresholding,
    )
