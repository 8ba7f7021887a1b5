"""Noise whose energy lies in one octave band of spatial frequencies.

Networks differ in the frequencies they depend on. In "How do vision transformers work?" (Park and Kim, ICLR 2022,
arXiv:2202.06709) noise of high frequency hurts convolutional networks more, and noise of low frequency those with attention. The
bands are octaves, as in critical band masking (Subramanian et al., NeurIPS 2023, arXiv:2309.13190).

A frequency is the length of the vector (vertical, horizontal), in cycles per pixel. The highest band ends at 0.5, the Nyquist
frequency of an axis; frequencies above it, which only diagonals have, are in no band.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NYQUIST = 0.5
"""Highest frequency of an axis, in cycles per pixel."""


@dataclass(frozen=True)
class Band:
    """The spatial frequencies from `low` up to `high`, in cycles per pixel; `high` itself belongs to the highest band only."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high <= NYQUIST:
            raise ValueError(f"band: must have 0 < low < high <= {NYQUIST}, found {self.low} to {self.high}")

    def mask(self, size: tuple[int, int]) -> Tensor:
        """Which entries of the half spectrum `torch.fft.rfft2` of a map of `size` belong to the band, boolean `(H, W//2+1)`."""
        frequency = radial_frequency(size)
        return (frequency >= self.low) & ((frequency < self.high) | ((frequency <= self.high) & (self.high == NYQUIST)))


def radial_frequency(size: tuple[int, int]) -> Tensor:
    """The frequency of each entry of the half spectrum of a map of `size`, in cycles per pixel, float64 `(H, W//2+1)`."""
    rows = torch.fft.fftfreq(size[0], dtype=torch.float64)
    columns = torch.fft.rfftfreq(size[1], dtype=torch.float64)
    return torch.hypot(rows[:, None], columns[None, :])


def octave_bands(size: tuple[int, int]) -> tuple[Band, ...]:
    """The octaves from the Nyquist frequency down to the one that holds a single cycle per image, by rising frequency.

    Args:
        size: (height, width) in pixels, at least 2 on the longer side.
    """
    slowest = 1 / max(size)
    bands = [Band(NYQUIST / 2, NYQUIST)]
    while bands[-1].low > slowest:
        bands.append(Band(bands[-1].low / 2, bands[-1].low))
    return tuple(reversed(bands))


def band_noise(count: int, size: tuple[int, int], band: Band, rms: float, generator: torch.Generator) -> Tensor:
    """White Gaussian noise filtered to `band`, `(count, 1, H, W)` float32; each map has mean 0 and root mean square `rms`.

    Args:
        count: number of maps.
        size: (height, width) in pixels.
        band: at least one frequency of the map must lie in it.
        rms: in the unit of the pixels that the noise is for.
        generator: on the CPU.

    Raises:
        ValueError: no frequency of such a map lies in the band.
    """
    mask = band.mask(size)
    if not bool(mask.any()):
        raise ValueError(f"band: a map of {size[0]}x{size[1]} has no frequency from {band.low} to {band.high}")
    white = torch.randn(count, 1, *size, generator=generator)
    filtered = torch.fft.irfft2(torch.fft.rfft2(white) * mask, s=size)
    return filtered * (rms / filtered.square().mean(dim=(2, 3), keepdim=True).sqrt())
