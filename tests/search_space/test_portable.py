"""`portable`: the same numbers without complex tensors and transforms, for every mixer and preset, on maps of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from mixer_cases import CASES, Case
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from search_space import build, presets
from search_space.architecture import Architecture
from search_space.errors import SpaceError
from search_space.mixers import MIXERS
from search_space.modules import fourier
from search_space.modules.dft import HalfSpectrum, LineDFT, MapOfSpectrum
from search_space.modules.portable import portable, replaces
from search_space.modules.portable.registry import unregister_portable_form

SIZES = ((1, 1), (1, 6), (7, 1), (2, 3), (7, 7), (8, 8), (5, 12), (63, 64), (64, 64))


class OnlyReal(TorchDispatchMode):
    """Fails at an operation that has a complex tensor, or is a Fourier transform or a convolution of three axes."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        assert "fft" not in str(function), function
        tensors = [x for x in tree_iter((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        assert not any(x.is_complex() or (x.dim() > 4 and "conv" in str(function)) for x in tensors), function
        return result


@torch.no_grad()
def relative_difference(module: nn.Module, shape: tuple[int, int, int]) -> float:
    """The largest difference between `module` and its portable form on two random maps, divided by the largest output."""
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    expected, replica = module.eval()(x), portable(module, shape)
    with OnlyReal():
        found = replica(x)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-6))


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_mixer_in_each_variant(case: Case) -> None:
    assert relative_difference(case.build(), (case.width, *case.size)) < 1e-5


@pytest.mark.parametrize("name", sorted(MIXERS))
@settings(max_examples=12)
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_maps_of_any_size(name: str, height: int, width: int, seed: int) -> None:
    mixer = Case(MIXERS[name](), (24, (height, width)))
    try:
        module = mixer.build(seed)
    except SpaceError:
        return
    assert relative_difference(module, (24, height, width)) < 1e-5


@pytest.mark.parametrize("name", presets.names())
def test_every_preset(name: str) -> None:
    small = smaller(presets.get(name))
    torch.manual_seed(0)
    assert relative_difference(build(small), (small.in_chans, *small.image_size)) < 1e-5


def smaller(architecture: Architecture) -> Architecture:
    """At most two blocks of each stage, for the smallest of some image sizes that fits; tests/benchmarks/formats.py has all."""
    stages = tuple(stage.replace(depth=min(stage.depth, 2)) for stage in architecture.stages)
    for side in (56, 64):
        try:
            return architecture.replace(stages=stages, image_size=side)
        except SpaceError:
            continue
    return architecture.replace(stages=stages)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_half_spectra_and_maps_are_those_of_numpy(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    maps = generator.standard_normal((2, 3, *size))
    expected = np.fft.rfft2(maps, norm="ortho")
    real, imaginary = HalfSpectrum(size)(torch.from_numpy(maps).float())
    np.testing.assert_allclose(real.numpy(), expected.real, atol=2e-6)
    np.testing.assert_allclose(imaginary.numpy(), expected.imag, atol=2e-6)
    # A spectrum that no real map has: its first and last columns are not symmetric.
    spectrum = generator.standard_normal(expected.shape) + 1j * generator.standard_normal(expected.shape)
    found = MapOfSpectrum(size)(torch.from_numpy(spectrum.real).float(), torch.from_numpy(spectrum.imag).float())
    np.testing.assert_allclose(found.numpy(), np.fft.irfft2(spectrum, s=size, norm="ortho"), atol=3e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_transform_of_a_line_is_that_of_numpy(size: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).standard_normal((2, 3, *size))
    expected = np.fft.fft(maps.reshape(2, 3, -1))
    real, imaginary = LineDFT(size)(torch.from_numpy(maps).float())
    scale = np.abs(expected).max()
    np.testing.assert_allclose(real.numpy(), expected.real, atol=1e-6 * scale)
    np.testing.assert_allclose(imaginary.numpy(), expected.imag, atol=1e-6 * scale)


def gfnet_like() -> Architecture:
    stages = [{"width": 8, "depth": 1, "mixer": mixer} for mixer in ("global_filter", "fnet")]
    return Architecture.from_dict({"stages": stages, "image_size": [7, 5], "stem": {"patch": 1}, "num_classes": 3})


def test_a_network_is_not_changed_and_its_copy_is_in_evaluation_mode() -> None:
    network = build(gfnet_like()).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    names = [name for name, _ in network.named_modules()]
    replica = portable(network)
    assert not any(module.training for module in replica.modules())
    assert all(module.training for module in network.modules())
    assert [name for name, _ in network.named_modules()] == names
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_half_precision_weights_are_mixed_in_single_precision() -> None:
    network, x = build(gfnet_like()).eval(), torch.randn(2, 3, 7, 5)
    expected = network(x)
    found = portable(network.bfloat16())(x.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


class Blur(nn.Module):
    """A module of a user that transforms."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fourier.irfft2(fourier.rfft2(x), (x.shape[2], x.shape[3]))


class TwoSizes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blur = Blur()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blur(x)[..., 1:] + self.blur(x[..., 1:])


@pytest.fixture
def blur_form() -> Iterator[None]:
    replaces(Blur)(lambda module, channels, size: nn.Sequential())
    yield
    unregister_portable_form(Blur)


def test_the_portable_form_of_a_new_module(blur_form: None) -> None:
    assert relative_difference(nn.Sequential(nn.Conv2d(3, 4, 1), Blur()), (3, 5, 4)) < 1e-5
    assert relative_difference(Blur(), (3, 5, 4)) < 1e-5
    shared = Blur()
    assert relative_difference(nn.Sequential(shared, nn.GELU(), shared), (3, 5, 4)) < 1e-5
    with pytest.raises(ValueError, match="a portable form of Blur already exists"):
        replaces(Blur)(lambda module, channels, size: nn.Sequential())
    with pytest.raises(
        ValueError, match=r"Blur: must be called with maps of one size, found \(3, 5, 4\) and \(3, 5, 3\)"
    ):
        portable(TwoSizes(), (3, 5, 4))


def test_a_module_that_is_no_network_needs_the_shape_of_its_input() -> None:
    with pytest.raises(ValueError, match="input_shape: must be given for a module that is no Network, found Blur"):
        portable(Blur())
