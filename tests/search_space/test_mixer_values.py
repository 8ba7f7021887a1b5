"""What each mixer computes, against naive loops written from its definition, in float64.

The oracles know nothing of torch's convolutions, einsums or transforms; each takes the weights by their published names
and layouts and a map `(C, H, W)`. `test_mixers_against_timm.py` compares with timm's modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from search_space.mixers import create

Array = NDArray[np.float64]
Weights = dict[str, Array]


def agree(module: nn.Module, oracle: Callable[[Array, Weights], Array], width: int, size: tuple[int, int]) -> None:
    """The module in eval mode with random weights gives the oracle's values, for a batch of two."""
    generator = torch.Generator().manual_seed(0)
    module.double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5, generator=generator)
    x = torch.randn(2, width, *size, generator=generator, dtype=torch.float64)
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    with torch.no_grad():
        y = module(x).numpy()
    for sample, found in zip(x.numpy(), y, strict=True):
        np.testing.assert_allclose(found, oracle(sample, weights), rtol=1e-9, atol=1e-9)


def batch_norm(x: Array, weights: Weights, name: str) -> Array:
    """`(C, ...)` by the running statistics."""
    by = {key: weights[f"{name}.{key}"].reshape(-1, *[1] * (x.ndim - 1)) for key in ("weight", "bias")}
    mean, var = (weights[f"{name}.running_{key}"].reshape(-1, *[1] * (x.ndim - 1)) for key in ("mean", "var"))
    return (x - mean) / np.sqrt(var + 1e-5) * by["weight"] + by["bias"]


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum()


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("groups", "interlace"), [("depthwise", False), (1, False), (3, False), (2, True), (3, True)])
def test_conv_is_a_sum_over_the_window_and_the_group(k: int, groups: int | str, interlace: bool) -> None:
    width, g = 6, 6 if groups == "depthwise" else int(groups)
    before = (k - 1) // 2  # of an even window one more pixel lies at the right and at the bottom

    def oracle(x: Array, weights: Weights) -> Array:
        channels, height, columns = x.shape
        y = np.zeros_like(x)
        for o, i, j in np.ndindex(*x.shape):
            y[o, i, j] = weights["bias"][o]
            first = o // (channels // g) * (channels // g)  # of the input channels of o's group
            for c, a, b in product(range(channels // g), range(k), range(k)):
                row, column = i + a - before, j + b - before
                if 0 <= row < height and 0 <= column < columns:
                    y[o, i, j] += weights["weight"][o, c, a, b] * x[first + c, row, column]
        shuffled = [y[(p % g) * (channels // g) + p // g] for p in range(channels)]
        return np.stack(shuffled) if interlace else y

    agree(create("conv", width=width, size=(4, 5), k=k, groups=groups, interlace=interlace), oracle, width, (4, 5))


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_attention_weighs_values_by_softmax_of_queries_and_keys(heads: int, reduction: int) -> None:
    width, size = 6, (5, 4)

    def rows(x: Array, weights: Weights, name: str) -> Array:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def reduce(x: Array, weights: Weights) -> Array:
        """LayerNorm of the strided convolution, `(M, C)`; what does not fill a square is left out."""
        tokens = []
        for i, j in product(range(x.shape[1] // reduction), range(x.shape[2] // reduction)):
            window = x[:, i * reduction : (i + 1) * reduction, j * reduction : (j + 1) * reduction]
            token = np.array([(filt * window).sum() for filt in weights["sr.weight"]]) + weights["sr.bias"]
            token = (token - token.mean()) / math.sqrt(token.var() + 1e-5)
            tokens.append(token * weights["norm.weight"] + weights["norm.bias"])
        return np.stack(tokens)

    def oracle(x: Array, weights: Weights) -> Array:
        tokens = x.reshape(width, -1).T
        if reduction == 1:
            q, k, v = np.split(rows(tokens, weights, "qkv"), 3, axis=1)
        else:
            q = rows(tokens, weights, "q")
            k, v = np.split(rows(reduce(x, weights), weights, "kv"), 2, axis=1)
        mixed, d = np.zeros_like(tokens), width // heads
        for n, h in product(range(len(tokens)), range(heads)):
            of_head = slice(h * d, (h + 1) * d)
            share = softmax(np.array([q[n, of_head] @ key[of_head] for key in k]) / math.sqrt(d))
            mixed[n, of_head] = sum(p * value[of_head] for p, value in zip(share, v, strict=True))
        return rows(mixed, weights, "proj").T.reshape(x.shape)

    agree(create("attention", width=width, size=size, heads=heads, kv_reduction=reduction), oracle, width, size)


@pytest.mark.parametrize("context", ["global", 1, 3, 5])
@pytest.mark.parametrize(("heads", "k", "u"), [(1, 2, 1), (2, 3, 1), (2, 3, 2), (3, 2, 4)])
def test_lambda_applies_the_summed_context_to_each_query(heads: int, k: int, u: int, context: int | str) -> None:
    width, (height, columns) = 6, (3, 4)
    v = width // heads
    positions = [(i, j) for i in range(height) for j in range(columns)]  # row-major

    def embedding(n: int, m: int, weights: Weights) -> Array:
        """E[n, m], `(k, u)`, for the offset pos[m] - pos[n]."""
        down, right = (b - a for a, b in zip(positions[n], positions[m], strict=True))
        if context == "global":
            return weights["pos_emb"][down + height - 1, right + columns - 1]
        reach = int(context) // 2
        if max(abs(down), abs(right)) > reach:
            return np.zeros((k, u))
        return weights["conv_lambda.weight"][:, :, down + reach, right + reach, 0]

    def oracle(x: Array, weights: Weights) -> Array:
        tokens = x.reshape(width, -1)
        q, keys, values = np.split(weights["qkv.weight"][:, :, 0, 0] @ tokens, [heads * k, heads * k + u * k])
        q = batch_norm(q, weights, "norm_q").reshape(heads, k, -1)
        values = batch_norm(values, weights, "norm_v").reshape(u, v, -1)
        keys = np.stack([softmax(row) for row in keys]).reshape(u, k, -1)
        content = np.zeros((k, v))
        for a, b, m in product(range(u), range(k), range(len(positions))):
            content[b] += keys[a, b, m] * values[a, :, m]
        y = np.zeros((heads, v, len(positions)))
        for n in range(len(positions)):
            position = np.zeros((k, v))
            if context != "global":
                position += weights["conv_lambda.bias"][:, None]
            for m, a in product(range(len(positions)), range(u)):
                position += np.outer(embedding(n, m, weights)[:, a], values[a, :, m])
            for h in range(heads):
                y[h, :, n] = (content + position).T @ q[h, :, n]
        return y.reshape(x.shape)

    module = create("lambda", width=width, size=(height, columns), heads=heads, k=k, u=u, context=context)
    agree(module, oracle, width, (height, columns))


def dft(points: int) -> NDArray[np.complex128]:
    """The unitary DFT matrix."""
    n = np.arange(points)
    return np.exp(-2j * np.pi * np.outer(n, n) / points) / math.sqrt(points)


def half_spectrum(x: Array) -> NDArray[np.complex128]:
    """rfft2, 'ortho', `(C, H, W) -> (C, H, W//2+1)`."""
    full = np.einsum("ai,cij,bj->cab", dft(x.shape[1]), x, dft(x.shape[2]))
    return full[:, :, : x.shape[2] // 2 + 1]


def from_half_spectrum(spectrum: NDArray[np.complex128], columns: int) -> Array:
    """irfft2, 'ortho', to `columns` columns: the missing half is the conjugate; DC and Nyquist count their real parts."""
    rows = np.einsum("ai,cab->cib", dft(spectrum.shape[1]).conj(), spectrum)
    y = np.zeros((*rows.shape[:2], columns))
    for frequency in range(spectrum.shape[2]):
        times = 1 if frequency == 0 or 2 * frequency == columns else 2
        wave = np.exp(2j * np.pi * frequency * np.arange(columns) / columns) / math.sqrt(columns)
        y += times * (rows[:, :, frequency, None].real * wave.real)
        if times == 2:
            y -= times * (rows[:, :, frequency, None].imag * wave.imag)
    return y


MAPS = [(4, 6), (4, 5), (5, 6), (3, 7), (1, 4), (4, 1)]


@pytest.mark.parametrize("size", MAPS)
def test_global_filter_multiplies_the_spectrum(size: tuple[int, int]) -> None:
    def oracle(x: Array, weights: Weights) -> Array:
        k = weights["complex_weight"]
        return from_half_spectrum(half_spectrum(x) * (k[..., 0] + 1j * k[..., 1]).transpose(2, 0, 1), size[1])

    agree(create("global_filter", width=3, size=size), oracle, 3, size)


@pytest.mark.parametrize("size", MAPS)
def test_global_filter_is_a_circular_convolution(size: tuple[int, int]) -> None:
    height, columns = size

    def oracle(x: Array, weights: Weights) -> Array:
        k = weights["complex_weight"]
        spectrum = (k[..., 0] + 1j * k[..., 1]).transpose(2, 0, 1)
        # A filter of all ones is the identity, so the kernel is the inverse transform without its 'ortho' scale.
        kernel = from_half_spectrum(spectrum, columns) / math.sqrt(height * columns)
        y = np.zeros_like(x)
        for i, j, a, b in product(range(height), range(columns), range(height), range(columns)):
            y[:, i, j] += kernel[:, a, b] * x[:, (i - a) % height, (j - b) % columns]
        return y

    agree(create("global_filter", width=3, size=size), oracle, 3, size)


def keeps_low_modes(row: int, column: int, size: tuple[int, int], fraction: float) -> bool:
    """Frequencies of small magnitude along both axes."""
    low = [int(fraction * (side // 2 + 1)) for side in size]
    return min(row, size[0] - row) < low[0] and column < low[1]


def keeps_modes_of_afno(row: int, column: int, size: tuple[int, int], fraction: float) -> bool:
    """As the code of Guibas et al.: `[:, :, :int((W//2+1) * fraction)]` of a spectrum (B, H, W//2+1, ...)."""
    return column < int((size[1] // 2 + 1) * fraction)


def keeps_modes_of_fourcastnet(row: int, column: int, size: tuple[int, int], fraction: float) -> bool:
    """As the code of Pathak et al.: t = H//2+1, n = int(t * fraction), `[:, t-n:t+n, :n]` of a spectrum (B, H, W//2+1, ...)."""
    t = size[0] // 2 + 1
    n = int(t * fraction)
    return t - n <= row < t + n and column < n


KEPT_MODES = {"both_axes": keeps_low_modes, "afno": keeps_modes_of_afno, "fourcastnet": keeps_modes_of_fourcastnet}


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (7, 4), (4, 12)])
@pytest.mark.parametrize("fraction", [1.0, 0.6, 0.34])
@pytest.mark.parametrize("thresholding", KEPT_MODES)
@pytest.mark.parametrize(("blocks", "factor", "threshold"), [(1, 1, 0.0), (2, 3, 0.4), (4, 2, 0.01)])
def test_afno_mixes_each_kept_mode_by_the_same_network(
    size: tuple[int, int], fraction: float, thresholding: str, blocks: int, factor: int, threshold: float
) -> None:
    width = 4

    def relu(z: complex) -> complex:
        return complex(max(z.real, 0.0), max(z.imag, 0.0))

    def shrink(z: complex) -> complex:
        return complex(*(math.copysign(max(abs(part) - threshold, 0.0), part) for part in (z.real, z.imag)))

    def oracle(x: Array, weights: Weights) -> Array:
        w1, b1, w2, b2 = (weights[name][0] + 1j * weights[name][1] for name in ("w1", "b1", "w2", "b2"))
        spectrum = half_spectrum(x)
        mixed = np.zeros_like(spectrum)  # dropped modes are zero, without the bias
        for row, column, g in product(range(size[0]), range(spectrum.shape[2]), range(blocks)):
            if not KEPT_MODES[thresholding](row, column, size, fraction):
                continue
            of_block = slice(g * width // blocks, (g + 1) * width // blocks)
            hidden = [relu(z) for z in spectrum[of_block, row, column] @ w1[g] + b1[g]]
            mixed[of_block, row, column] = [shrink(z) for z in hidden @ w2[g] + b2[g]]
        return x + from_half_spectrum(mixed, size[1])

    options: dict[str, Any] = {"num_blocks": blocks, "hidden_size_factor": factor, "sparsity_threshold": threshold}
    options |= {"hard_thresholding_fraction": fraction, "hard_thresholding": thresholding}
    module = create("afno", width=width, size=size, **options)
    agree(module, oracle, width, size)


@pytest.mark.parametrize("size", [(4, 5), (1, 3), (3, 1)])
@pytest.mark.parametrize(("width", "fraction"), [(12, 12), (26, 12), (9, 4), (8, 5)])
def test_shiftvit_moves_four_groups_and_pads_with_zeros(size: tuple[int, int], width: int, fraction: int) -> None:
    group = width // fraction
    # What is seen from (i, j): a map that moves left shows its right neighbour.
    steps = {0: (0, 1), 1: (0, -1), 2: (1, 0), 3: (-1, 0)}

    def oracle(x: Array, weights: Weights) -> Array:
        y = np.zeros_like(x)
        for c, i, j in np.ndindex(*x.shape):
            down, right = steps.get(c // group, (0, 0))
            if 0 <= i + down < size[0] and 0 <= j + right < size[1]:
                y[c, i, j] = x[c, i + down, j + right]
        return y

    agree(create("shift", width=width, size=size, fraction=fraction), oracle, width, size)


@pytest.mark.parametrize("size", [(4, 5), (1, 3), (3, 1)])
@pytest.mark.parametrize("width", [4, 8, 11])
def test_s2_moves_quarters_and_keeps_the_border(size: tuple[int, int], width: int) -> None:
    def oracle(x: Array, weights: Weights) -> Array:
        y = np.empty_like(x)
        for c, i, j in np.ndindex(*x.shape):
            if c < width // 4:
                y[c, i, j] = x[c, max(i - 1, 0), j]
            elif c < width // 2:
                y[c, i, j] = x[c, min(i + 1, size[0] - 1), j]
            elif c < width * 3 // 4:
                y[c, i, j] = x[c, i, max(j - 1, 0)]
            else:
                y[c, i, j] = x[c, i, min(j + 1, size[1] - 1)]
        return y

    agree(create("shift", width=width, size=size, kind="s2"), oracle, width, size)


@pytest.mark.parametrize("size", [(4, 5), (2, 2), (1, 6)])
@pytest.mark.parametrize("k", [3, 5])
def test_pool_is_the_mean_of_the_window_inside_the_map_minus_the_pixel(size: tuple[int, int], k: int) -> None:
    def oracle(x: Array, weights: Weights) -> Array:
        y = np.empty_like(x)
        for c, i, j in np.ndindex(*x.shape):
            window = [x[c, a, b] for a, b in np.ndindex(*size) if abs(a - i) <= k // 2 and abs(b - j) <= k // 2]
            y[c, i, j] = sum(window) / len(window) - x[c, i, j]
        return y

    agree(create("pool", width=3, size=size, k=k), oracle, 3, size)


def test_identity_returns_its_input() -> None:
    agree(create("identity", width=3, size=(2, 3)), lambda x, weights: x, 3, (2, 3))
