"""Each mixer as its paper or published code writes it down, without a thought for speed: what the benchmark compares with.

All map `(B, C, H, W) -> (B, C, H, W)`. These are yardsticks of speed; that ours give the same numbers is what the tests
of `tests/search_space` show.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

Tensor = torch.Tensor


class Conv(nn.Module):
    """Depthwise convolution, 'same'."""

    def __init__(self, width: int, size: tuple[int, int], k: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, k, groups=width, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Attention(nn.Module):
    """Softmax attention, written out."""

    def __init__(self, width: int, size: tuple[int, int], heads: int = 4) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).reshape(b, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        y = self.proj((weights @ v).transpose(1, 2).reshape(b, h * w, c))
        return y.transpose(1, 2).reshape(b, c, h, w)


class Lambda(nn.Module):
    """Lambda layer: a 3-D convolution over the values for a local context, an einsum over all pairs for a global one."""

    def __init__(self, width: int, size: tuple[int, int], context: int | None = 7, heads: int = 4, k: int = 16) -> None:
        super().__init__()
        self.heads, self.k, self.v, self.context = heads, k, width // heads, context
        self.to_q = nn.Conv2d(width, heads * k, 1, bias=False)
        self.to_k = nn.Conv2d(width, k, 1, bias=False)
        self.to_v = nn.Conv2d(width, self.v, 1, bias=False)
        self.norm_q, self.norm_v = nn.BatchNorm2d(heads * k), nn.BatchNorm2d(self.v)
        if context is not None:
            self.pos = nn.Conv3d(1, k, (1, context, context), padding=(0, context // 2, context // 2))
        else:
            self.embedding = nn.Parameter(torch.randn(2 * size[0] - 1, 2 * size[1] - 1, k) * 0.02)
            place = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1]))
            self.relative = place[None] - place[:, None] + torch.tensor(size) - 1

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q = self.norm_q(self.to_q(x)).reshape(b, self.heads, self.k, h * w)
        k = self.to_k(x).reshape(b, self.k, h * w).softmax(dim=-1)
        v = self.norm_v(self.to_v(x)).reshape(b, self.v, h * w)
        content = torch.einsum("bkm,bvm->bkv", k, v)
        y = torch.einsum("bhkn,bkv->bhvn", q, content)
        if self.context is not None:
            position = self.pos(v.reshape(b, 1, self.v, h, w)).flatten(3)
            y = y + torch.einsum("bhkn,bkvn->bhvn", q, position)
        else:
            embedding = self.embedding[self.relative[..., 0], self.relative[..., 1]]
            position = torch.einsum("nmk,bvm->bnkv", embedding, v)
            y = y + torch.einsum("bhkn,bnkv->bhvn", q, position)
        return y.reshape(b, c, h, w)


class GlobalFilter(nn.Module):
    """GFNet's filter, channels last as its code has it."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size[0], size[1] // 2 + 1, width, 2) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        y = torch.fft.rfft2(x.permute(0, 2, 3, 1), dim=(1, 2), norm="ortho") * torch.view_as_complex(self.weight)
        return torch.fft.irfft2(y, s=(h, w), dim=(1, 2), norm="ortho").permute(0, 3, 1, 2)


class AFNO(nn.Module):
    """AFNO, channels last: four real einsums for each complex layer, as its code has it."""

    def __init__(self, width: int, size: tuple[int, int], blocks: int = 8, shrink: float = 0.01) -> None:
        super().__init__()
        self.blocks, self.shrink = blocks, shrink
        block = width // blocks
        self.w1, self.w2 = (nn.Parameter(0.02 * torch.randn(2, blocks, block, block)) for _ in range(2))
        self.b1, self.b2 = (nn.Parameter(0.02 * torch.randn(2, blocks, block)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        spectrum = torch.fft.rfft2(x.permute(0, 2, 3, 1), dim=(1, 2), norm="ortho")
        spectrum = spectrum.reshape(b, h, w // 2 + 1, self.blocks, c // self.blocks)
        real, imaginary = self.layer(spectrum.real, spectrum.imag, self.w1, self.b1)
        real, imaginary = self.layer(F.relu(real), F.relu(imaginary), self.w2, self.b2)
        y = F.softshrink(torch.stack((real, imaginary), dim=-1), self.shrink)
        y = torch.view_as_complex(y).reshape(b, h, w // 2 + 1, c)
        return x + torch.fft.irfft2(y, s=(h, w), dim=(1, 2), norm="ortho").permute(0, 3, 1, 2)

    @staticmethod
    def layer(real: Tensor, imaginary: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """One complex block-diagonal layer."""

        def times(x: Tensor, matrix: Tensor) -> Tensor:
            return torch.einsum("...gi,gio->...go", x, matrix)

        return (
            times(real, weight[0]) - times(imaginary, weight[1]) + bias[0],
            times(imaginary, weight[0]) + times(real, weight[1]) + bias[1],
        )


class ZeroShift(nn.Module):
    """ShiftViT's shift: zeros, then slice by slice."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.g = width // 12

    def forward(self, x: Tensor) -> Tensor:
        g, y = self.g, torch.zeros_like(x)
        y[:, :g, :, :-1] = x[:, :g, :, 1:]
        y[:, g : 2 * g, :, 1:] = x[:, g : 2 * g, :, :-1]
        y[:, 2 * g : 3 * g, :-1] = x[:, 2 * g : 3 * g, 1:]
        y[:, 3 * g : 4 * g, 1:] = x[:, 3 * g : 4 * g, :-1]
        y[:, 4 * g :] = x[:, 4 * g :]
        return y


class ClampedShift(nn.Module):
    """S2-MLP's shift: a copy, then slice by slice."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        c, y = x.shape[1], x.clone()
        y[:, : c // 4, 1:] = x[:, : c // 4, :-1]
        y[:, c // 4 : c // 2, :-1] = x[:, c // 4 : c // 2, 1:]
        y[:, c // 2 : c * 3 // 4, :, 1:] = x[:, c // 2 : c * 3 // 4, :, :-1]
        y[:, c * 3 // 4 :, :, :-1] = x[:, c * 3 // 4 :, :, 1:]
        return y


class Pool(nn.Module):
    """PoolFormer's pooling."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) - x
