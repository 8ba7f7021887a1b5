"""Filters that are known: their frequencies and kernels by hand and by numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nas.models.diagnose.diagnoses.filters import half_radius, layer_of
from nas.models.diagnose.filters import filters_of, full_spectrum, kernels
from search_space.modules.fno import FNO
from search_space.modules.global_filter import GlobalFilter


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (6, 5)])
def test_half_spectra_are_mirrored_as_numpy_has_them(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = np.fft.fftshift(np.abs(np.fft.fft2(image.numpy())), axes=(-2, -1))
    assert np.allclose(full_spectrum(torch.fft.rfft2(image).abs(), size).numpy(), whole)


def test_a_filter_of_ones_is_a_point_and_one_frequency_a_wave() -> None:
    module = GlobalFilter(2, (8, 8))
    with torch.no_grad():
        module.complex_weight.zero_()
        module.complex_weight[:, :, 0, 0] = 1.0
        module.complex_weight[0, 2, 1, 0] = 3.0  # two cycles across the map
    (layer,) = filters_of(nn.Sequential(module))
    assert (layer.layer, layer.size, layer.gains.shape) == ("0", (8, 8), (2, 8, 5))
    point, wave = kernels(layer.gains, (8, 8))
    expected = torch.zeros(8, 8)
    expected[4, 4] = 1
    assert torch.allclose(point, expected, atol=1e-6)
    columns = torch.arange(8) - 4
    assert torch.allclose(wave, (3 * 2 / 64 * torch.cos(2 * torch.pi * 2 * columns / 8)).expand(8, 8), atol=1e-6)
    found = layer_of(layer)
    # Means of squares over the two filters: 1/2 at all 64 frequencies, and 9/2 more at the two of the wave, 2/8.
    frequency = np.hypot(np.fft.fftfreq(8)[:, None], np.fft.fftfreq(8)[None, :])
    assert found.mean_frequency == pytest.approx((0.5 * frequency.sum() + 2 * 4.5 * 0.25) / (32 + 9))
    assert found.filters == 2


def test_an_fno_drops_the_modes_that_it_does_not_keep() -> None:
    module = FNO(3, (8, 8), 2)
    (layer,) = filters_of(module)
    kept = layer.gains.abs().sum(dim=0) > 0
    assert layer.gains.shape == (9, 8, 5)
    assert kept.nonzero().tolist() == [[row, column] for row in (0, 1, 6, 7) for column in (0, 1)]
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft2(x)[:, :, None] * layer.gains.unflatten(0, (3, 3))[None]
    y = torch.fft.irfft2(spectrum.sum(dim=1), s=(8, 8))
    assert torch.allclose(nn.functional.gelu(y + module.w(x)), module(x), atol=1e-5)


def test_the_radius_of_half_of_the_energy() -> None:
    energy = torch.zeros(6, 6)
    energy[3, 3], energy[3, 5], energy[0, 0] = 1.0, 2.0, 1.0
    assert half_radius(energy) == 2.0
