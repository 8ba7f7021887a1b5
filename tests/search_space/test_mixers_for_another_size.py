"""Mixers on other map sizes: which are bound to one, and what becomes of their weights on another."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from search_space.mixers import MIXERS, create
from search_space.mixers.attention import AttentionSpec
from search_space.mixers.fno import FNOSpec
from search_space.mixers.lambda_layer import LambdaSpec
from search_space.modules.builders import build_token_mixer

Size = tuple[int, int]
Array = NDArray[np.float64]

VARIANTS = [
    *(mixer() for mixer in MIXERS.values()),
    LambdaSpec(context="global"),
    FNOSpec(modes=2),
    AttentionSpec(window=3, shift="always"),
    AttentionSpec(kv_pool=2),
]


@pytest.mark.parametrize("mixer", VARIANTS, ids=repr)
def test_a_mixer_is_bound_to_its_size_if_and_only_if_the_shapes_of_its_weights_depend_on_it(mixer: object) -> None:
    assert isinstance(mixer, MIXERS.base)
    shapes = [
        {name: tensor.shape for name, tensor in build_token_mixer(mixer, 24, size).state_dict().items()}
        for size in ((6, 6), (9, 8))
    ]
    assert mixer.is_bound_to_size == (shapes[0] != shapes[1])


@pytest.mark.parametrize("mixer", [mixer for mixer in VARIANTS if not mixer.is_bound_to_size], ids=repr)
def test_a_mixer_that_is_not_bound_runs_on_any_map(mixer: object) -> None:
    assert isinstance(mixer, MIXERS.base)
    module, other = (build_token_mixer(mixer, 24, size).eval() for size in ((6, 6), (9, 8)))
    other.load_state_dict(module.state_dict())
    x = torch.randn(2, 24, 9, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(x), other(x))


def cubic(table: Array, count: int) -> Array:
    """Cubic convolution (a = -0.75, edges repeated) of the first axis to `count` samples, first and last kept."""
    n = len(table)
    out = np.zeros((count, *table.shape[1:]))
    for i in range(count):
        place = i * (n - 1) / (count - 1) if count > 1 else 0.0
        start = math.floor(place)
        for tap in range(start - 1, start + 3):
            d = abs(place - tap)
            near, far = (1.25 * d - 2.25) * d * d + 1, ((-0.75 * d + 3.75) * d - 6) * d + 3
            out[i] += (near if d <= 1 else far if d < 2 else 0.0) * table[min(max(tap, 0), n - 1)]
    return out


def bicubic(table: Array, rows: int, columns: int) -> Array:
    return cubic(cubic(table, rows).swapaxes(0, 1), columns).swapaxes(0, 1)


def randomised(module: nn.Module) -> nn.Module:
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    return module


RESIZINGS: list[tuple[Size, Size]] = [((4, 6), (7, 9)), ((7, 5), (3, 4)), ((4, 4), (4, 4)), ((1, 3), (5, 1))]


@pytest.mark.parametrize(("old", "new"), RESIZINGS)
def test_the_global_filter_is_interpolated_over_its_frequencies(old: Size, new: Size) -> None:
    module = randomised(create("global_filter", width=3, size=old)).eval()
    before = module.complex_weight.detach().clone()
    resized = module.for_size(new)
    expected = bicubic(before.numpy(), new[0], new[1] // 2 + 1)
    np.testing.assert_allclose(resized.complex_weight.detach().numpy(), expected, atol=1e-12)
    assert resized(torch.ones(1, 3, *new, dtype=torch.float64)).shape == (1, 3, *new)
    assert torch.equal(module.complex_weight, before)
    assert not resized.training


@pytest.mark.parametrize(("old", "new"), RESIZINGS)
def test_the_table_of_relative_positions_is_interpolated(old: Size, new: Size) -> None:
    module = randomised(create("lambda", width=8, size=old, heads=2, k=3, u=2, context="global"))
    resized = module.for_size(new)
    expected = bicubic(module.pos_emb.detach().numpy(), 2 * new[0] - 1, 2 * new[1] - 1)
    np.testing.assert_allclose(resized.pos_emb.detach().numpy(), expected, atol=1e-12)
    fresh = create("lambda", width=8, size=new, heads=2, k=3, u=2, context="global").double()
    fresh.load_state_dict(resized.state_dict())
    x = torch.randn(2, 8, *new, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(resized(x), fresh(x))


def test_a_lambda_of_a_local_context_is_the_same_on_any_map() -> None:
    module = create("lambda", width=8, size=(4, 4), context=3)
    x = torch.randn(2, 8, 5, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(module.for_size((5, 3))(x), module(x))


@pytest.mark.parametrize("modes", ["all", 1])
def test_an_fno_sees_the_same_function_at_twice_the_samples(modes: int | str) -> None:
    """Sides are odd, so that no frequency is at the border of what the samples can tell."""
    module = randomised(create("fno", width=3, size=(5, 3), modes=modes))
    x = torch.randn(2, 3, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), dim=(2, 3))
    finer = torch.zeros(2, 3, 10, 6, dtype=torch.complex128)
    finer[:, :, 3:8, 2:5] = 4 * spectrum  # frequency zero of 10 shifted rows is row 5, of 5 rows row 2
    finer = torch.fft.ifft2(torch.fft.ifftshift(finer, dim=(2, 3)))
    assert finer.imag.abs().max() < 1e-12
    torch.testing.assert_close(finer.real[:, :, ::2, ::2], x, rtol=1e-12, atol=1e-12)
    y = module.for_size((10, 6))(finer.real)
    torch.testing.assert_close(y[:, :, ::2, ::2], module(x), rtol=1e-10, atol=1e-10)
    back = module.for_size((10, 6)).for_size((5, 3))
    assert all(torch.equal(tensor, back.state_dict()[name]) for name, tensor in module.state_dict().items())


def test_the_token_mlp_says_that_it_cannot_be_resized() -> None:
    module = create("mlp", width=4, size=(2, 3))
    with pytest.raises(ValueError, match=r"bound to its map of 2x3: .*no accepted interpolation, found \(4, 4\)"):
        module.for_size((4, 4))
