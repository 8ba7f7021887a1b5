"""Affine maps of whole batches, uint8 `(B, C, H, W) -> (B, C, H, W)`, by the nearest pixel; pixels from outside are black.

Maps are float64 `(B, 2, 3)` and give the origin of each pixel of the result: the pixel with its centre at (x, y) =
(column + 0.5, row + 0.5) has the value at `(a x + b y + c, d x + e y + f)`. The pixels are those of Pillow's
`Image.transform(size, AFFINE, (a, b, c, d, e, f), NEAREST)`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def warp(images: Tensor, maps: Tensor) -> Tensor:
    """Apply to each image its own map."""
    batch, channels, height, width = images.shape
    x = torch.arange(width, device=images.device, dtype=torch.float64) + 0.5
    y = torch.arange(height, device=images.device, dtype=torch.float64)[:, None] + 0.5
    weights = maps[:, :, :, None, None]  # (B, 2, 3, 1, 1)
    source_x, source_y = (weights[:, :, 0] * x + weights[:, :, 1] * y + weights[:, :, 2]).floor().long().unbind(1)
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)  # (B, H, W)
    index = (source_y.clamp(0, height - 1) * width + source_x.clamp(0, width - 1)).view(batch, 1, -1)
    pixels = images.flatten(2).gather(2, index.expand(-1, channels, -1)).view(images.shape)
    return pixels & inside[:, None].to(torch.uint8).neg()  # all bits where inside


def shear_x(amount: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Maps that shear rows about the centre by `amount` `(B,)` pixels for each row."""
    return _about_centre(_matrices(1, amount, 0, 1), image_size)


def shear_y(amount: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Maps that shear columns about the centre by `amount` `(B,)` pixels for each column."""
    return _about_centre(_matrices(1, 0, amount, 1), image_size)


def rotate(degrees: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Maps that rotate counter-clockwise about the centre by `degrees` `(B,)`."""
    angle = torch.deg2rad(degrees)
    return _about_centre(_matrices(angle.cos(), -angle.sin(), angle.sin(), angle.cos()), image_size)


def translate(columns: Tensor, rows: Tensor) -> Tensor:
    """Maps that take each pixel from whole `columns` to its right and `rows` below, both `(B,)`."""
    maps = torch.zeros(len(columns), 2, 3, dtype=torch.float64, device=columns.device)
    maps[:, 0, 0] = maps[:, 1, 1] = 1
    maps[:, 0, 2], maps[:, 1, 2] = columns, rows
    return maps


def _matrices(a: Tensor | int, b: Tensor | int, d: Tensor | int, e: Tensor | int) -> Tensor:
    """Matrices `(B, 2, 2)` with rows (a, b) and (d, e); at least one of the four is a tensor `(B,)`."""
    tensor = next(value for value in (a, b, d, e) if isinstance(value, Tensor))
    matrices = torch.empty(len(tensor), 2, 2, dtype=torch.float64, device=tensor.device)
    for row, column, value in ((0, 0, a), (0, 1, b), (1, 0, d), (1, 1, e)):
        matrices[:, row, column] = value
    return matrices


def _about_centre(matrices: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Maps `(B, 2, 3)` of `matrices` that keep the centre of an `(H, W)` image fixed."""
    centre = torch.tensor([image_size[1] / 2, image_size[0] / 2], dtype=torch.float64, device=matrices.device)
    offsets = centre - matrices @ centre
    return torch.cat([matrices, offsets[:, :, None]], dim=2)
