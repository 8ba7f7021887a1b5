"""The adaptive Fourier neural operator of `search_space/mixers/afno.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.afno import AFNOSpec, HardThresholding, kept_modes
from search_space.modules import fourier
from search_space.modules.builders import builds
from search_space.modules.precision import as_complex
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
        spectrum = fourier.rfft2(x, "ortho")  # (B, C, H, W//2+1)
        modes = spectrum.flatten(2)
        if self.fraction == 1 and self.thresholding == "both_axes":
            mixed = self.mix(modes)
        else:
            index = kept_mode_indices(self.thresholding, self.fraction, height, width, x.device)
            mixed = put_modes(self.mix(modes[:, :, index]), index, height * (width // 2 + 1))
        return x + fourier.irfft2(mixed.view(spectrum.shape), (height, width), "ortho").to(x.dtype)

    def mix(self, spectrum: torch.Tensor) -> torch.Tensor:
        """The two-layer block-diagonal network, the same for every mode, `(B, C, modes) -> (B, C, modes)` complex."""
        batch, channels, count = spectrum.shape
        # Modes last: the matrices then multiply the spectrum without copying it.
        modes = spectrum.view(batch, self.blocks, channels // self.blocks, count)
        modes = torch.matmul(complex_weights(self.w1).transpose(1, 2), modes) + complex_weights(self.b1)[..., None]
        modes = torch.view_as_complex(F.relu(torch.view_as_real(modes)))
        modes = torch.matmul(complex_weights(self.w2).transpose(1, 2), modes) + complex_weights(self.b2)[..., None]
        modes = torch.view_as_complex(F.softshrink(torch.view_as_real(modes), self.threshold))
        return modes.view(batch, channels, count)


@torch.fx.wrap  # one node of a traced graph: the size is known when it runs
def kept_mode_indices(
    thresholding: HardThresholding, fraction: float, height: int, width: int, device: torch.device
) -> torch.Tensor:
    """The flat indices of the modes that are kept in a half spectrum `(H, W//2+1)`."""
    ranges, columns = kept_modes(thresholding, fraction, (height, width))
    rows = torch.cat([torch.arange(rows.start, rows.stop, device=device) for rows in ranges])
    return (rows[:, None] * (width // 2 + 1) + torch.arange(columns, device=device)).flatten()


def complex_weights(parts: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts as complex numbers, `(2, ...) -> (...)`."""
    return as_complex(parts.movedim(0, -1))


@torch.fx.wrap  # one node of a traced graph, which has no assignments
def put_modes(kept: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
    """A spectrum of `count` modes that are zero but for those of `index`, `(B, C, M) -> (B, C, count)`."""
    spectrum = kept.new_zeros(kept.shape[0], kept.shape[1], count)
    spectrum[:, :, index] = kept
    return spectrum


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
