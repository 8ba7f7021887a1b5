"""Fourier transforms of maps of one size as products of real matrices, for runtimes without transforms or complex numbers.

A spectrum is a pair of real tensors: its real parts and its imaginary parts. The matrices are computed in double precision, from
angles that are reduced to one turn in whole numbers, and kept in single precision. A map of `H x W` takes O(H W (H + W))
multiplications.

- Cooley & Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series", 1965: the two steps of `LineDFT`.
"""

from __future__ import annotations

import torch
from torch import nn

from search_space.modules.precision import at_least_single
from search_space.shapes import Size

Pair = tuple[torch.Tensor, torch.Tensor]


class HalfSpectrum(nn.Module):
    """`fourier.rfft2(x, "ortho")` of maps of `size`, `(..., H, W)` -> two of `(..., H, W//2+1)`."""

    columns: torch.Tensor
    rows: torch.Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        height, width = size
        self.half_width = width // 2 + 1
        cosines, sines = rotation(width, width, self.half_width)
        self.register_buffer("columns", _single(torch.cat((cosines, -sines), dim=1) / width**0.5), persistent=False)
        cosines, sines = rotation(height, height, height)
        self.register_buffer("rows", _single(torch.cat((cosines, sines)) / height**0.5), persistent=False)

    def forward(self, x: torch.Tensor) -> Pair:
        x = at_least_single(x)
        along_rows = x @ self.columns.to(x.dtype)  # (..., H, [real, imaginary])
        return rotate(self.rows.to(x.dtype), along_rows[..., : self.half_width], along_rows[..., self.half_width :])


class MapOfSpectrum(nn.Module):
    """`fourier.irfft2(spectrum, size, "ortho")`: two of `(..., H, W//2+1)` -> `(..., H, W)`.

    After the transform over the rows the first column, and the last one of an even width, count with their real parts alone, as
    there.
    """

    columns: torch.Tensor
    rows: torch.Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        height, width = size
        cosines, sines = rotation(height, height, height)
        self.register_buffer("rows", _single(torch.cat((cosines, -sines)) / height**0.5), persistent=False)
        half = width // 2 + 1
        cosines, sines = rotation(width, half, width)
        # A column stands for the one of the negative frequency, too.
        both = [1 if 2 * k % width == 0 else 2 for k in range(half)]
        count = torch.tensor(both, dtype=torch.float64)[:, None] / width**0.5
        self.register_buffer("columns", _single(torch.cat((count * cosines, -count * sines))), persistent=False)

    def forward(self, real: torch.Tensor, imaginary: torch.Tensor) -> torch.Tensor:
        spectrum = rotate(self.rows.to(real.dtype), real, imaginary)
        return torch.cat(spectrum, dim=-1) @ self.columns.to(real.dtype)


class LineDFT(nn.Module):
    """The transform of all positions of maps of `size` as one line, `(..., H, W)` -> two of `(..., H * W)`; not normalised.

    In two steps, over the H rows and over the W columns, with a rotation in between: for the position `n = h W + w` and the
    frequency `k = a + H b`,

        X[k] = sum_w exp(-2 pi i w b / W) exp(-2 pi i w a / (H W)) sum_h exp(-2 pi i h a / H) x[n]
    """

    rows: torch.Tensor
    columns: torch.Tensor
    cosines: torch.Tensor
    sines: torch.Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        height, width = size
        cosines, sines = rotation(height, height, height)
        self.register_buffer("rows", _single(torch.cat((cosines, -sines))), persistent=False)
        cosines, sines = rotation(height * width, height, width)
        self.register_buffer("cosines", _single(cosines), persistent=False)
        self.register_buffer("sines", _single(sines), persistent=False)
        cosines, sines = rotation(width, width, width)
        self.register_buffer("columns", _single(torch.cat((cosines, sines))), persistent=False)

    def forward(self, x: torch.Tensor) -> Pair:
        x = at_least_single(x)
        height = x.shape[-2]
        by_rows = self.rows.to(x.dtype) @ x
        real, imaginary = by_rows[..., :height, :], by_rows[..., height:, :]
        cosines, sines = self.cosines.to(x.dtype), self.sines.to(x.dtype)
        turned = (real * cosines + imaginary * sines, imaginary * cosines - real * sines)
        parts = rotate(self.columns.to(x.dtype), turned[0].mT, turned[1].mT)  # (..., W, H): frequencies b, a
        return parts[0].flatten(-2), parts[1].flatten(-2)


def rotate(matrix: torch.Tensor, real: torch.Tensor, imaginary: torch.Tensor) -> Pair:
    """`(C - i S)(real + i imaginary)` for `matrix` `(..., 2n, m)`, C over S, and two of `(..., m, k)` -> two of `(..., n, k)`."""
    n = matrix.shape[-2] // 2
    of_real, of_imaginary = matrix @ real, matrix @ imaginary
    return of_real[..., :n, :] + of_imaginary[..., n:, :], of_imaginary[..., :n, :] - of_real[..., n:, :]


def rotation(period: int, rows: int, columns: int) -> Pair:
    """Cosines and sines of `2 pi j k / period`, two of `(rows, columns)`, in double precision.

    Cosines of odd quarter turns and sines of half turns are exactly zero.
    """
    turns = torch.arange(rows)[:, None] * torch.arange(columns) % period
    angles = 2 * torch.pi * turns.to(torch.float64) / period
    cosines, sines = angles.cos(), angles.sin()
    cosines[(4 * turns) % (2 * period) == period] = 0
    sines[(2 * turns) % period == 0] = 0
    return cosines, sines


def _single(matrix: torch.Tensor) -> torch.Tensor:
    return matrix.to(torch.float32)
