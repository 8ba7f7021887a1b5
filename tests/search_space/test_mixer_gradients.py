"""Further mixers against naive forms written from their definitions, with gradients, in float64.

The oracles are sums over indices and DFT matrices on whole batches; autograd differentiates them, so that gradients of
the input and of every weight are compared too. `test_mixers_against_timm.py` compares with timm's modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from search_space.mixers import create
from search_space.modules.fno import from_published

Size = tuple[int, int]
Weights = dict[str, Tensor]
Oracle = Callable[[Tensor, Weights], Tensor]


def agree(module: nn.Module, oracle: Oracle, width: int, size: Size, batch: int = 2, training: bool = False) -> None:
    """With random weights, the oracle's values and gradients to 1e-9."""
    generator = torch.Generator().manual_seed(0)
    module.double().train(training)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5, generator=generator)
    learned = {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}
    constants = {name: buffer.clone() for name, buffer in module.named_buffers()}
    mine, direction = (torch.randn(batch, width, *size, generator=generator, dtype=torch.float64) for _ in range(2))
    naive = mine.clone().requires_grad_()
    mine.requires_grad_()
    y, expected = module(mine), oracle(naive, learned | constants)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    (y * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(mine.grad, naive.grad, rtol=1e-9, atol=1e-9)
    for name, parameter in module.named_parameters():
        if parameter.numel() == 0:  # the lower rows of a spectrum of one row
            continue
        torch.testing.assert_close(parameter.grad, learned[name].grad, rtol=1e-9, atol=1e-9, msg=name)


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def pointwise(x: Tensor, weights: Weights, name: str) -> Tensor:
    """A 1x1 convolution, `(B, C, H, W) -> (B, C', H, W)`."""
    y = (weights[f"{name}.weight"].flatten(1) @ x.flatten(2)).view(x.shape[0], -1, *x.shape[2:])
    bias = weights.get(f"{name}.bias")
    return y if bias is None else y + bias[:, None, None]


def at(x: Tensor, i: int, j: int) -> Tensor:
    """The pixel (i, j), zero outside of the map, `(B, C, H, W) -> (B, C)`."""
    inside = 0 <= i < x.shape[2] and 0 <= j < x.shape[3]
    return x[:, :, i, j] if inside else torch.zeros_like(x[:, :, 0, 0])


def pixels(size: Size, value: Callable[[int, int], Tensor]) -> Tensor:
    """A map from what each pixel is, `(B, C) -> (B, C, H, W)`."""
    return torch.stack([torch.stack([value(i, j) for j in range(size[1])], -1) for i in range(size[0])], -2)


def dft(points: int) -> Tensor:
    """The DFT matrix, unnormalised."""
    n = torch.arange(points, dtype=torch.float64)
    return torch.exp(-2j * torch.pi * torch.outer(n, n) / points)


def real_inverse(half: Tensor, columns: int) -> Tensor:
    """irfft2 of a half spectrum, `(B, C, H, W//2+1) -> (B, C, H, W)`: the missing half is the conjugate."""
    rows = torch.einsum("ai,bcaf->bcif", dft(half.shape[2]).conj(), half) / half.shape[2]
    y = torch.zeros(*rows.shape[:3], columns, dtype=torch.float64)
    for f in range(half.shape[3]):
        times = 1 if f == 0 or 2 * f == columns else 2
        wave = torch.exp(2j * torch.pi * f * torch.arange(columns, dtype=torch.float64) / columns)
        y = y + times * (rows[..., f, None] * wave).real / columns
    return y


@pytest.mark.parametrize("size", [(4, 6), (4, 5), (5, 6), (3, 7), (1, 4), (5, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("modes", ["all", 1, 2])
def test_fno_multiplies_each_low_mode_by_its_own_matrix(size: Size, modes: int | str) -> None:
    height, columns = size
    if modes != "all" and int(modes) > min(size) // 2:
        with pytest.raises(ValueError, match=rf"modes: must not exceed half the map {height}x{columns}, found {modes}"):
            create("fno", width=3, size=size, modes=modes)
        return

    def oracle(x: Tensor, weights: Weights) -> Tensor:
        spectrum = torch.einsum("ai,bcij,fj->bcaf", dft(height), x.to(torch.complex128), dft(columns))
        matrices = {name: torch.complex(*weights[name].unbind(-1)) for name in ("weights1", "weights2")}
        mixed = torch.zeros(2, 3, height, columns // 2 + 1, dtype=torch.complex128)
        for row, column in product(range(height), range(columns // 2 + 1)):
            frequency = row if 2 * row < height else row - height
            table = matrices["weights1"] if frequency >= 0 else matrices["weights2"]
            place = frequency if frequency >= 0 else frequency + table.shape[2]
            if not (0 <= place < table.shape[2] and column < table.shape[3]):
                continue  # a mode that is dropped
            one = torch.zeros_like(mixed)
            one[:, :, row, column] = 1
            mixed = mixed + one * (spectrum[:, :, row, column] @ table[:, :, place, column])[:, :, None, None]
        return gelu(real_inverse(mixed, columns) + pointwise(x, weights, "w"))

    agree(create("fno", width=3, size=size, modes=modes), oracle, 3, size)


def test_fno_takes_published_weights() -> None:
    published = {
        f"weights{n}": torch.randn(3, 3, 2, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(n))
        for n in (1, 2)
    }
    state = from_published(published)
    module = create("fno", width=3, size=(4, 5), modes=2).double()
    module.load_state_dict({**state, "w.weight": torch.zeros(3, 3, 1, 1), "w.bias": torch.zeros(3)})
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # The published forward pass, as the paper's code has it.
    spectrum, out = torch.fft.rfft2(x), torch.zeros(2, 3, 4, 3, dtype=torch.complex128)
    out[:, :, :2, :2] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, :2, :2], published["weights1"])
    out[:, :, -2:, :2] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, -2:, :2], published["weights2"])
    torch.testing.assert_close(module(x), gelu(torch.fft.irfft2(out, s=(4, 5))), rtol=1e-9, atol=1e-9)
    assert all(not tensor.is_complex() for tensor in state.values())


@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(4, 6), (3, 5), (2, 5), (1, 1), (1, 2), (1, 3)])
def test_fnet_is_the_real_part_of_two_transforms(size: Size, width: int) -> None:
    def oracle(x: Tensor, weights: Weights) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2).to(torch.complex128)  # (B, N, C)
        hidden = tokens @ dft(width)
        return (dft(size[0] * size[1]) @ hidden).real.transpose(1, 2).reshape(x.shape)

    agree(create("fnet", width=width, size=size), oracle, width, size)


@pytest.mark.parametrize("k", [2, 4, 5])
@pytest.mark.parametrize("size", [(4, 5), (1, 3)])
def test_separable_conv_of_any_kernel_sums_over_the_window(k: int, size: Size) -> None:
    before = (k - 1) // 2  # of an even window one more pixel lies at the right and at the bottom

    def oracle(x: Tensor, weights: Weights) -> Tensor:
        inner = pointwise(x, weights, "pwconv1").clamp(min=0) ** 2 * weights["act1.scale"] + weights["act1.bias"]
        kernel = weights["dwconv.weight"][:, 0]
        window = list(product(range(k), range(k)))
        moved = pixels(
            size,
            lambda i, j: sum(
                (kernel[:, a, b] * at(inner, i + a - before, j + b - before) for a, b in window), 0 * kernel[:, 0, 0]
            ),
        )
        return pointwise(moved, weights, "pwconv2")

    agree(create("separable_conv", width=4, size=size, k=k, expansion=1.5), oracle, 4, size)


def group_norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    """One group over channels and positions."""
    mean = x.mean((1, 2, 3), keepdim=True)
    variance = (x - mean).square().mean((1, 2, 3), keepdim=True)
    scaled = (x - mean) / (variance + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]


@pytest.mark.parametrize("size", [(4, 5), (1, 3), (6, 2)])
@pytest.mark.parametrize(("width", "shift_size"), [(6, 1), (6, 3), (7, 3), (5, 5), (12, 5), (8, 7)])
def test_axial_shift_moves_each_group_by_its_own_distance(size: Size, width: int, shift_size: int) -> None:
    distance = [c // math.ceil(width / shift_size) - shift_size // 2 for c in range(width)]

    def shifted(a: Tensor, down: int, right: int) -> Tensor:
        channels = [
            pixels(size, lambda i, j, c=c: at(a, i - down * distance[c], j - right * distance[c])[:, c : c + 1])
            for c in range(width)
        ]
        return torch.cat(channels, dim=1)

    def oracle(x: Tensor, weights: Weights) -> Tensor:
        a = gelu(group_norm(pointwise(x, weights, "conv1"), weights, "norm1"))
        along_width = gelu(pointwise(shifted(a, 0, 1), weights, "conv2_1"))
        along_height = gelu(pointwise(shifted(a, 1, 0), weights, "conv2_2"))
        return pointwise(group_norm(along_width + along_height, weights, "norm2"), weights, "conv3")

    agree(create("shift", width=width, size=size, kind="axial", shift_size=shift_size), oracle, width, size)


def batch_norm(x: Tensor, weights: Weights, name: str, training: bool) -> Tensor:
    if training:
        mean = x.mean((0, 2, 3))
        variance = (x - mean[:, None, None]).square().mean((0, 2, 3))
    else:
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    scaled = (x - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None]
    return scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]


@pytest.mark.parametrize(("batch", "training"), [(2, False), (2, True), (1, True)])
@pytest.mark.parametrize("mode", ["fc", "depthwise"])
@pytest.mark.parametrize("size", [(4, 5), (2, 9), (1, 3)])
def test_wave_aggregates_waves_along_both_axes(size: Size, mode: str, batch: int, training: bool) -> None:
    width = 4

    def theta(x: Tensor, weights: Weights, name: str) -> Tensor:
        if mode == "fc":
            seen = pointwise(x, weights, f"{name}.0")
        else:
            kernel = weights[f"{name}.0.weight"][:, 0]
            window = list(product(range(3), range(3)))
            seen = pixels(
                size,
                lambda i, j: torch.stack([kernel[:, a, b] * at(x, i + a - 1, j + b - 1) for a, b in window]).sum(0),
            )
        return batch_norm(seen, weights, f"{name}.1", training).clamp(min=0)

    def aggregated(x: Tensor, weights: Weights, axis: str) -> Tensor:
        amplitude, phase = pointwise(x, weights, f"fc_{axis}"), theta(x, weights, f"theta_{axis}_conv")
        parts = torch.cat((amplitude * torch.cos(phase), amplitude * torch.sin(phase)), dim=1)
        taps = weights[f"tfc_{axis}.weight"].flatten(2)  # (C, 2, 7): output c sees parts 2c and 2c + 1
        down, right = (0, 1) if axis == "h" else (1, 0)

        def pixel(i: int, j: int) -> Tensor:
            seen = [at(parts, i + down * (t - 3), j + right * (t - 3)).view(batch, width, 2) for t in range(7)]
            return torch.stack([(taps[:, :, t] * seen[t]).sum(-1) for t in range(7)]).sum(0)

        return pixels(size, pixel)

    def oracle(x: Tensor, weights: Weights) -> Tensor:
        h, w, c = aggregated(x, weights, "h"), aggregated(x, weights, "w"), pointwise(x, weights, "fc_c")
        mean = (h + w + c).mean((2, 3), keepdim=True)
        scores = pointwise(gelu(pointwise(mean, weights, "reweight.fc1")), weights, "reweight.fc2")
        y = torch.zeros_like(x)
        for channel in range(width):
            share = scores[:, 3 * channel : 3 * channel + 3].exp()
            share = share / share.sum(1, keepdim=True)
            mixed = sum(share[:, n] * branch[:, channel] for n, branch in enumerate((h, w, c)))
            y = y + torch.eye(width, dtype=x.dtype)[channel, :, None, None] * mixed[:, None]
        return pointwise(y, weights, "proj")

    agree(create("wave", width=width, size=size, mode=mode), oracle, width, size, batch, training)
