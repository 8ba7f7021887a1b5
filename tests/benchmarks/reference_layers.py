"""Each mixer as its paper or published code defines it, not optimised for speed: the reference of the benchmark.

All map `(B, C, H, W) -> (B, C, H, W)`. Where timm has the layer, `reference_timm.py` holds timm's. Parameters have
our names, or `weights()` returns them by our names: the benchmark checks that both give the same numbers before it times them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from search_space.modules.fno import from_published

Tensor = torch.Tensor
Size = tuple[int, int]


class NaiveConv(nn.Module):
    """Convolution, 'same', then, interlaced, a channel shuffle."""

    def __init__(self, width: int, size: Size, k: int, groups: int | None = None, interlace: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, k, groups=groups or width, padding="same")
        self.interlace = interlace

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.interlace:
            b, c, h, w = y.shape
            y = y.view(b, self.conv.groups, c // self.conv.groups, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
        return y

    def weights(self) -> dict[str, Tensor]:
        return self.conv.state_dict()


class NaiveAttention(nn.Module):
    """Softmax attention, written out."""

    def __init__(self, width: int, size: Size, heads: int = 4) -> None:
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


class NaiveLambda(nn.Module):
    """Lambda layer: a 3-D convolution over the values for a local context, an einsum over all pairs for a global one."""

    def __init__(self, width: int, size: Size, context: int | None, u: int = 1, heads: int = 4, k: int = 16) -> None:
        super().__init__()
        self.heads, self.k, self.u, self.v, self.context = heads, k, u, width // heads, context
        self.qkv = nn.Conv2d(width, heads * k + u * k + u * self.v, 1, bias=False)
        self.norm_q, self.norm_v = nn.BatchNorm2d(heads * k), nn.BatchNorm2d(u * self.v)
        if context is not None:
            self.conv_lambda = nn.Conv3d(u, k, (context, context, 1), padding=(context // 2, context // 2, 0))
        else:
            self.pos_emb = nn.Parameter(torch.randn(2 * size[0] - 1, 2 * size[1] - 1, k, u) * 0.02)
            place = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1]))
            relative = place[None] - place[:, None] + torch.tensor(size) - 1
            self.register_buffer("relative", relative, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(x).split([self.heads * self.k, self.u * self.k, self.u * self.v], dim=1)
        q = self.norm_q(q).reshape(b, self.heads, self.k, h * w)
        k = k.reshape(b, self.u, self.k, h * w).softmax(dim=-1)
        v = self.norm_v(v).reshape(b, self.u, self.v, h * w)
        content = torch.einsum("bukm,buvm->bkv", k, v)
        y = torch.einsum("bhkn,bkv->bhvn", q, content)
        if self.context is not None:
            maps = v.reshape(b, self.u, self.v, h, w).permute(0, 1, 3, 4, 2)
            position = self.conv_lambda(maps).flatten(2, 3)  # (B, k, N, v)
            y = y + torch.einsum("bhkn,bknv->bhvn", q, position)
        else:
            embedding = self.pos_emb[self.relative[..., 0], self.relative[..., 1]]
            position = torch.einsum("nmku,buvm->bnkv", embedding, v)
            y = y + torch.einsum("bhkn,bnkv->bhvn", q, position)
        return y.reshape(b, c, h, w)


class NaiveGlobalFilter(nn.Module):
    """GFNet's filter, channels last as its code has it."""

    def __init__(self, width: int, size: Size) -> None:
        super().__init__()
        self.complex_weight = nn.Parameter(torch.randn(size[0], size[1] // 2 + 1, width, 2) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        y = torch.fft.rfft2(x.permute(0, 2, 3, 1).float(), dim=(1, 2), norm="ortho")
        y = y * torch.view_as_complex(self.complex_weight)
        return torch.fft.irfft2(y, s=(h, w), dim=(1, 2), norm="ortho").permute(0, 3, 1, 2)


class NaiveAFNO(nn.Module):
    """AFNO, channels last: four real einsums for each complex layer, as its code has it."""

    def __init__(self, width: int, size: Size, blocks: int = 8, shrink: float = 0.01) -> None:
        super().__init__()
        self.blocks, self.shrink = blocks, shrink
        block = width // blocks
        self.w1, self.w2 = (nn.Parameter(0.02 * torch.randn(2, blocks, block, block)) for _ in range(2))
        self.b1, self.b2 = (nn.Parameter(0.02 * torch.randn(2, blocks, block)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        spectrum = torch.fft.rfft2(x.permute(0, 2, 3, 1).float(), dim=(1, 2), norm="ortho")
        spectrum = spectrum.reshape(b, h, w // 2 + 1, self.blocks, c // self.blocks)
        real, imaginary = self.layer(spectrum.real, spectrum.imag, self.w1, self.b1)
        real, imaginary = self.layer(F.relu(real), F.relu(imaginary), self.w2, self.b2)
        y = F.softshrink(torch.stack((real, imaginary), dim=-1).float(), self.shrink)
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


class NaiveFNO(nn.Module):
    """FNO's layer: complex weights, one einsum for the upper and one for the lower rows of the kept modes."""

    def __init__(self, width: int, size: Size, modes: int | None = None) -> None:
        super().__init__()
        h, w = size
        rows, columns = ((h - h // 2, h // 2), w // 2 + 1) if modes is None else ((modes, modes), modes)
        for name, count in zip(("weights1", "weights2"), rows, strict=True):
            weight = torch.rand(width, width, count, columns, dtype=torch.cfloat) / width**2
            self.register_parameter(name, nn.Parameter(weight))
        self.w = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        top, bottom, columns = self.weights1.shape[2], self.weights2.shape[2], self.weights1.shape[3]
        spectrum = torch.fft.rfft2(x.float())
        out = torch.zeros_like(spectrum)
        out[:, :, :top, :columns] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, :top, :columns], self.weights1)
        low = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, h - bottom :, :columns], self.weights2)
        out[:, :, h - bottom :, :columns] = low
        return F.gelu(torch.fft.irfft2(out, s=(h, w)) + self.w(x))

    def weights(self) -> dict[str, Tensor]:
        return from_published(self.state_dict())


class NaiveFNet(nn.Module):
    """FNet: two complex transforms, of which the real part is kept."""

    def __init__(self, width: int, size: Size) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2).float()
        return torch.fft.fft(torch.fft.fft(tokens, dim=-1), dim=-2).real.transpose(1, 2).reshape(x.shape)


class NaiveZeroShift(nn.Module):
    """ShiftViT's shift: zeros, then slice by slice."""

    def __init__(self, width: int, size: Size) -> None:
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


class NaiveClampedShift(nn.Module):
    """S2-MLP's shift: a copy, then slice by slice."""

    def __init__(self, width: int, size: Size) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        c, y = x.shape[1], x.clone()
        y[:, : c // 4, 1:] = x[:, : c // 4, :-1]
        y[:, c // 4 : c // 2, :-1] = x[:, c // 4 : c // 2, 1:]
        y[:, c // 2 : c * 3 // 4, :, 1:] = x[:, c // 2 : c * 3 // 4, :, :-1]
        y[:, c * 3 // 4 :, :, :-1] = x[:, c * 3 // 4 :, :, 1:]
        return y


class NaiveAxialShift(nn.Module):
    """AS-MLP's axial shift: pad, roll each chunk of channels by its distance, cut the padding off."""

    def __init__(self, width: int, size: Size, shift_size: int = 5) -> None:
        super().__init__()
        self.shift_size = shift_size
        self.conv1, self.conv2_1, self.conv2_2, self.conv3 = (nn.Conv2d(width, width, 1) for _ in range(4))
        self.norm1, self.norm2 = nn.GroupNorm(1, width), nn.GroupNorm(1, width)

    def moved(self, x: Tensor, dim: int) -> Tensor:
        """The chunks of channels moved along `dim`."""
        h, w, reach = *x.shape[2:], self.shift_size // 2
        chunks = F.pad(x, (reach, reach, reach, reach)).chunk(self.shift_size, dim=1)
        rolled = [chunk.roll(g - reach, dim) for g, chunk in enumerate(chunks)]
        return torch.cat(rolled, dim=1)[:, :, reach : reach + h, reach : reach + w]

    def forward(self, x: Tensor) -> Tensor:
        a = F.gelu(self.norm1(self.conv1(x)))
        along_width, along_height = self.conv2_1(self.moved(a, 3)), self.conv2_2(self.moved(a, 2))
        return self.conv3(self.norm2(F.gelu(along_width) + F.gelu(along_height)))


class NaiveWave(nn.Module):
    """Wave-MLP's PATM: the real and imaginary parts side by side, in C groups of two channels."""

    def __init__(self, width: int, size: Size, depthwise: bool) -> None:
        super().__init__()
        self.fc_h, self.fc_w, self.fc_c = (nn.Conv2d(width, width, 1, bias=False) for _ in range(3))
        self.tfc_h = nn.Conv2d(2 * width, width, (1, 7), padding=(0, 3), groups=width, bias=False)
        self.tfc_w = nn.Conv2d(2 * width, width, (7, 1), padding=(3, 0), groups=width, bias=False)
        self.reweight = nn.ModuleDict(
            {"fc1": nn.Conv2d(width, width // 4, 1), "fc2": nn.Conv2d(width // 4, 3 * width, 1)}
        )
        self.proj = nn.Conv2d(width, width, 1)
        for name in ("theta_h_conv", "theta_w_conv"):
            local = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
            conv = local if depthwise else nn.Conv2d(width, width, 1)
            self.add_module(name, nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU()))

    def forward(self, x: Tensor) -> Tensor:
        b, channels = x.shape[:2]
        theta_h, theta_w = self.theta_h_conv(x), self.theta_w_conv(x)
        x_h, x_w, c = self.fc_h(x), self.fc_w(x), self.fc_c(x)
        h = self.tfc_h(torch.cat([x_h * torch.cos(theta_h), x_h * torch.sin(theta_h)], dim=1))
        w = self.tfc_w(torch.cat([x_w * torch.cos(theta_w), x_w * torch.sin(theta_w)], dim=1))
        a = self.reweight["fc2"](F.gelu(self.reweight["fc1"](F.adaptive_avg_pool2d(h + w + c, 1))))
        a = a.reshape(b, channels, 3).permute(2, 0, 1).softmax(dim=0)[..., None, None]
        return self.proj(h * a[0] + w * a[1] + c * a[2])


class NaiveIdentity(nn.Module):
    """Nothing."""

    def __init__(self, width: int, size: Size) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x
