"""The shifts of `search_space/mixers/shift.py`. Neither writes in place: the input stays as it was."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class ZeroShift(nn.Module):
    """ShiftViT's shift, `(B, C, H, W) -> (B, C, H, W)`: four groups of `group` channels left, right, up, down; zeros enter."""

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        g = self.group
        left, right, up, down, rest = x.split([g, g, g, g, x.shape[1] - 4 * g], dim=1)
        return torch.cat(
            (
                F.pad(left[..., 1:], (0, 1)),
                F.pad(right[..., :-1], (1, 0)),
                F.pad(up[..., 1:, :], (0, 0, 0, 1)),
                F.pad(down[..., :-1, :], (0, 0, 1, 0)),
                rest,
            ),
            dim=1,
        )


class ClampedShift(nn.Module):
    """S2-MLP's shift, `(B, C, H, W) -> (B, C, H, W)`: quarters of the channels down, up, right, left; the border stays."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = x.shape[1]
        down, up, right, left = x[:, : c // 4], x[:, c // 4 : c // 2], x[:, c // 2 : c * 3 // 4], x[:, c * 3 // 4 :]
        return torch.cat(
            (
                torch.cat((down[..., :1, :], down[..., :-1, :]), dim=-2),
                torch.cat((up[..., 1:, :], up[..., -1:, :]), dim=-2),
                torch.cat((right[..., :1], right[..., :-1]), dim=-1),
                torch.cat((left[..., 1:], left[..., -1:]), dim=-1),
            ),
            dim=1,
        )
