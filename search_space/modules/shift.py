"""The shifts of `search_space/mixers/shift.py`. The input is never changed in place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.shift import ShiftSpec
from search_space.modules.builders import builds
from search_space.modules.eager import needs_gradients, runs_eagerly
from search_space.shapes import Size


class ZeroShift(nn.Module):
    """ShiftViT's shift, `(B, C, H, W) -> (B, C, H, W)`: four groups of `group` channels left, right, up, down; zeros enter."""

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        g = self.group
        parts = x.split([g, g, g, g, x.shape[1] - 4 * g], dim=1)
        if runs_eagerly(x) and not needs_gradients(x):
            return self.shift_without_gradients(x, *parts)
        left, right, up, down, rest = parts
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

    def shift_without_gradients(self, x: torch.Tensor, *parts: torch.Tensor) -> torch.Tensor:
        """The same shift without gradients: each number is copied only once."""
        y, g = torch.empty_like(x), self.group
        to_left, to_right, to_up, to_down, to_rest = y.split([g, g, g, g, x.shape[1] - 4 * g], dim=1)
        left, right, up, down, rest = parts
        to_left[..., :-1], to_left[..., -1:] = left[..., 1:], 0
        to_right[..., 1:], to_right[..., :1] = right[..., :-1], 0
        to_up[..., :-1, :], to_up[..., -1:, :] = up[..., 1:, :], 0
        to_down[..., 1:, :], to_down[..., :1, :] = down[..., :-1, :], 0
        to_rest[:] = rest
        return y


class ClampedShift(nn.Module):
    """S2-MLP's shift, `(B, C, H, W) -> (B, C, H, W)`: quarters of the channels down, up, right, left; the border stays."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = x.shape[1]
        down, up, right, left = x.tensor_split((c // 4, c // 2, c * 3 // 4), dim=1)
        if runs_eagerly(x) and not needs_gradients(x):
            return self.shift_without_gradients(x, down, up, right, left)
        return torch.cat(
            (
                torch.cat((down[..., :1, :], down[..., :-1, :]), dim=-2),
                torch.cat((up[..., 1:, :], up[..., -1:, :]), dim=-2),
                torch.cat((right[..., :1], right[..., :-1]), dim=-1),
                torch.cat((left[..., 1:], left[..., -1:]), dim=-1),
            ),
            dim=1,
        )

    @staticmethod
    def shift_without_gradients(x: torch.Tensor, *quarters: torch.Tensor) -> torch.Tensor:
        """The same shift without gradients: each number is copied only once."""
        y = torch.empty_like(x)
        c = x.shape[1]
        to_down, to_up, to_right, to_left = y.tensor_split((c // 4, c // 2, c * 3 // 4), dim=1)
        down, up, right, left = quarters
        to_down[..., 1:, :], to_down[..., :1, :] = down[..., :-1, :], down[..., :1, :]
        to_up[..., :-1, :], to_up[..., -1:, :] = up[..., 1:, :], up[..., -1:, :]
        to_right[..., 1:], to_right[..., :1] = right[..., :-1], right[..., :1]
        to_left[..., :-1], to_left[..., -1:] = left[..., 1:], left[..., -1:]
        return y


class AxialShift(nn.Module):
    """AS-MLP's axial shift, `(B, C, H, W) -> (B, C, H, W)`; named as published."""

    def __init__(self, width: int, shift_size: int) -> None:
        super().__init__()
        self.shift_size = shift_size
        self.conv1 = nn.Conv2d(width, width, 1)
        self.conv2_1 = nn.Conv2d(width, width, 1)
        self.conv2_2 = nn.Conv2d(width, width, 1)
        self.conv3 = nn.Conv2d(width, width, 1)
        self.norm1 = nn.GroupNorm(1, width)
        self.norm2 = nn.GroupNorm(1, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = F.gelu(self.norm1(self.conv1(x)))
        along_width = F.gelu(self.conv2_1(shift_groups(a, self.shift_size, dim=3)))
        along_height = F.gelu(self.conv2_2(shift_groups(a, self.shift_size, dim=2)))
        return self.conv3(self.norm2(along_width + along_height))


@torch.fx.wrap  # one node of a traced graph: the number of groups is known when it runs
def shift_groups(x: torch.Tensor, shift_size: int, dim: int) -> torch.Tensor:
    """`(B, C, H, W) -> (B, C, H, W)`: group g of ceil(C / shift_size) channels moves by g - shift_size // 2 along `dim`."""
    reach, side = shift_size // 2, x.shape[dim]
    padded = F.pad(x, (reach, reach) if dim == 3 else (0, 0, reach, reach))
    groups = padded.split(-(-x.shape[1] // shift_size), dim=1)
    return torch.cat([group.narrow(dim, 2 * reach - g, side) for g, group in enumerate(groups)], dim=1)


@builds(ShiftSpec)
def build_shift(spec: ShiftSpec, width: int, size: Size) -> nn.Module:
    match spec.kind:
        case "shiftvit":
            return ZeroShift(width // spec.fraction)
        case "s2":
            return ClampedShift()
        case "axial":
            return AxialShift(width, spec.shift_size)
