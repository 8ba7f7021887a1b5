"""Images read at displaced positions, by bilinear interpolation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_at(images: Tensor, displacement: Tensor) -> Tensor:
    """`images` `(B, C, H, W)` read at each position plus `displacement`; beyond the border, the nearest pixel.

    Args:
        images: float.
        displacement: (down, right) in pixels, broadcast to `(B, H, W, 2)`.
    """
    height, width = images.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack((rows, columns), dim=-1) + displacement.expand(len(images), height, width, 2)
    # grid_sample has (x, y) and, with align_corners=False, -1 and 1 at the outer edges of the image.
    grid = torch.stack(((2 * places[..., 1] + 1) / width - 1, (2 * places[..., 0] + 1) / height - 1), dim=-1)
    grid = grid.to(images.device, images.dtype)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
