"""The Fourier neural operator of `search_space/mixers/fno.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from search_space.mixers.fno import FNOSpec, Modes, kept_modes
from search_space.modules import fourier
from search_space.modules.builders import builds
from search_space.modules.eager import may_rewrite, needs_gradients
from search_space.modules.memory_format import Change, apply_to_four_axes
from search_space.modules.precision import as_complex
from search_space.modules.size_bound import SizeBound
from search_space.shapes import Size


class FNO(SizeBound):
    """Fourier neural operator, `(B, C, H, W) -> (B, C, H, W)`.

    `weights1` and `weights2` are `(C_in, C_out, rows, columns, 2)`, for the upper and the lower rows of the spectrum;
    `w` is the pointwise path.
    """

    def __init__(self, width: int, size: Size, modes: Modes) -> None:
        super().__init__()
        self.modes, self.size = modes, size
        (top, bottom), columns = kept_modes(modes, size)
        self.weights1 = nn.Parameter(torch.rand(width, width, top, columns, 2) / width**2)
        self.weights2 = nn.Parameter(torch.rand(width, width, bottom, columns, 2) / width**2)
        self.w = nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        top, columns = self.weights1.shape[2:4]
        bottom = self.weights2.shape[2]
        low = fourier.rfft2(x)[..., :columns]  # (B, C, H, columns) of (B, C, H, W//2+1)
        upper = mix(low[:, :, :top], self.weights1)
        lower = mix(low[:, :, height - bottom :], self.weights2)
        dropped = upper.new_zeros(x.shape[0], x.shape[1], height - top - bottom, columns)
        mixed = F.pad(torch.cat((upper, dropped, lower), dim=2), (0, width // 2 + 1 - columns))
        y = fourier.irfft2(mixed, (height, width)).to(x.dtype)
        return F.gelu(y + self.w(x))

    def _apply(self, fn: Change, recurse: bool = True) -> FNO:
        """As `nn.Module` does it; `.to(memory_format=torch.channels_last)` would fail."""
        return super()._apply(apply_to_four_axes(fn), recurse)  # type: ignore[no-untyped-call]

    def tensors_for_size(self, size: Size) -> dict[str, torch.Tensor]:
        """The same operator on another map: frequencies that both maps have keep their weights, new ones start at zero."""
        if self.modes != "all":
            return {}
        (top, bottom), columns = kept_modes(self.modes, size)
        return {
            "weights1": resize_corner(self.weights1, top, columns),
            "weights2": resize_corner(self.weights2.flip(2), bottom, columns).flip(2),
        }


def mix(modes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Each mode by its own matrix, `(B, C, h, w)` and `(C, C, h, w, 2) -> (B, C, h, w)`, complex."""
    matrices = as_complex(weights)
    if not (may_rewrite(weights, modes) and needs_gradients(modes, weights)):
        return torch.einsum("bixy,ioxy->boxy", modes, matrices)
    mixed = ModeProducts.apply(modes.flatten(2).permute(2, 0, 1), matrices.flatten(2))
    return mixed.permute(1, 2, 0).unflatten(2, modes.shape[2:])


class ModeProducts(torch.autograd.Function):
    """Each of M modes by its own matrix, `(M, B, I)` and `(I, O, M) -> (M, B, O)`, complex.

    torch's own gradient copies the conjugates of all matrices, one by one; conjugates of the modes are enough.
    """

    @staticmethod
    def forward(modes: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
        return modes.contiguous() @ modes_first(matrices)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        (modes, matrices), gradient = ctx.saved_tensors, gradients[0].contiguous()
        of_modes, of_matrices = ctx.needs_input_grad
        conjugate = gradient.conj_physical()
        by_modes = (conjugate @ modes_first(matrices).mT).conj_physical() if of_modes else None
        by_matrices = None
        if of_matrices:
            products = (modes.contiguous().conj_physical().mT @ gradient).flatten(1)  # (M, I * O)
            by_matrices = products.t().contiguous().view(matrices.shape)
        return by_modes, by_matrices


def modes_first(matrices: torch.Tensor) -> torch.Tensor:
    """`(I, O, M) -> (M, I, O)`, contiguous."""
    return matrices.flatten(0, 1).t().contiguous().unflatten(1, matrices.shape[:2])


def resize_corner(weights: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """`(C, C, h, w, 2) -> (C, C, rows, columns, 2)`, cropped or padded with zeros at the far ends."""
    corner = weights.detach()[:, :, :rows, :columns]
    return F.pad(corner, (0, 0, 0, columns - corner.shape[3], 0, rows - corner.shape[2]))


def from_published(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A published layer's state dict as ours: complex `weights1` and `weights2` become pairs of real numbers."""
    return {
        name: torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        for name, tensor in state.items()
    }


@builds(FNOSpec)
def build_fno(spec: FNOSpec, width: int, size: Size) -> nn.Module:
    return FNO(width, size, spec.modes)
