"""Affine maps of whole batches, uint8 `(B, C, H, W) -> (B, C, H, W)`, by the nearest pixel, black from outside.

A map `(B, 2, 3)`, float64, says for each pixel of the result where it comes from: pixel (x, y) has its centre at
(x + 0.5, y + 0.5) and shows what lies at `(a x + b y + c, d x + e y + f)`; the same pixels as Pillow's
`Image.transform(size, AFFINE, (a, b, c, d, e, f), NEAREST)`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def moved(images: Tensor, maps: Tensor) -> Tensor:
    """Each image by its own of the `maps`."""
    batch, channels, height, width = images.shape
    x = torch.arange(width, device=images.device, dtype=torch.float64) + 0.5
    y = torch.arange(height, device=images.device, dtype=torch.float64)[:, None] + 0.5
    weights = maps[:, :, :, None, None]  # (B, 2, 3, 1, 1)
    from_x, from_y = (weights[:, :, 0] * x + weights[:, :, 1] * y + weights[:, :, 2]).floor().long().unbind(1)
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)  # (B, H, W)
    index = (from_y.clamp(0, height - 1) * width + from_x.clamp(0, width - 1)).view(batch, 1, -1)
    pixels = images.flatten(2).gather(2, index.expand(-1, channels, -1)).view(images.shape)
    return pixels & inside[:, None].to(torch.uint8).neg()  # all bits where inside


def sheared_x(amount: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Rows slide over each other, about the centre: `amount` `(B,)` pixels for each row."""
    return _about_centre(_matrices(1, amount, 0, 1), image_size)


def sheared_y(amount: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Columns slide over each other, about the centre."""
    return _about_centre(_matrices(1, 0, amount, 1), image_size)


def rotated(degrees: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Counter-clockwise about the centre, `degrees` `(B,)`."""
    angle = torch.deg2rad(degrees)
    return _about_centre(_matrices(angle.cos(), -angle.sin(), angle.sin(), angle.cos()), image_size)


def shifted(columns: Tensor, rows: Tensor) -> Tensor:
    """What is seen at a pixel lay so many whole `columns` right of it and `rows` below, `(B,)` both."""
    maps = torch.zeros(len(columns), 2, 3, dtype=torch.float64, device=columns.device)
    maps[:, 0, 0] = maps[:, 1, 1] = 1
    maps[:, 0, 2], maps[:, 1, 2] = columns, rows
    return maps


def _matrices(a: Tensor | int, b: Tensor | int, d: Tensor | int, e: Tensor | int) -> Tensor:
    """`(B, 2, 2)` with rows (a, b) and (d, e); one of them at least has a value for each image."""
    given = next(value for value in (a, b, d, e) if isinstance(value, Tensor))
    matrices = torch.empty(len(given), 2, 2, dtype=torch.float64, device=given.device)
    for row, column, value in ((0, 0, a), (0, 1, b), (1, 0, d), (1, 1, e)):
        matrices[:, row, column] = value
    return matrices


def _about_centre(matrices: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Maps `(B, 2, 3)` that leave the centre of an `(H, W)` image where it is."""
    centre = torch.tensor([image_size[1] / 2, image_size[0] / 2], dtype=torch.float64, device=matrices.device)
    offsets = centre - matrices @ centre
    return torch.cat([matrices, offsets[:, :, None]], dim=2)
