"""Noise of a band: its energy, seen by a discrete Fourier transform of numpy, lies in the band and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.measuring.frequency import Band, band_noise, octave_bands, radial_frequency


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_octaves_end_at_the_nyquist_frequency_and_hold_one_cycle() -> None:
    assert [(band.low * 32, band.high * 32) for band in octave_bands((32, 32))] == [(1, 2), (2, 4), (4, 8), (8, 16)]
    assert [(band.low * 8, band.high * 8) for band in octave_bands((8, 8))] == [(1, 2), (2, 4)]
    assert [band.low * 28 for band in octave_bands((28, 20))] == [0.875, 1.75, 3.5, 7]  # 1 cycle in 28 pixels


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (12, 20), (15, 9)])
def test_noise_has_its_energy_in_the_band_and_the_same_strength_in_each(size: tuple[int, int]) -> None:
    rows = np.fft.fftfreq(size[0])[:, None]
    columns = np.fft.fftfreq(size[1])[None, :]
    frequency = np.sqrt(rows**2 + columns**2)
    for band in octave_bands(size):
        noise = band_noise(3, size, band, 0.25, generator()).double().numpy()
        assert noise.shape == (3, 1, *size)
        assert np.sqrt((noise**2).mean(axis=(1, 2, 3))) == pytest.approx([0.25] * 3, rel=1e-5)
        power = np.abs(np.fft.fft2(noise)) ** 2
        inside = (frequency >= band.low) & (frequency < band.high + (1e-9 if band.high == 0.5 else 0))
        assert power[..., inside].sum() / power.sum() == pytest.approx(1, abs=1e-9)
        assert not np.allclose(noise[0], noise[1])


def test_radial_frequency_is_the_length_of_the_vector() -> None:
    frequency = radial_frequency((6, 4))
    assert frequency.shape == (6, 3)
    assert frequency[0].tolist() == [0, 0.25, 0.5]
    assert float(frequency[5, 1]) == pytest.approx((1 / 36 + 1 / 16) ** 0.5)  # row 5 is one cycle upwards


def test_noise_is_repeated_by_its_seed() -> None:
    band = octave_bands((8, 8))[0]
    assert torch.equal(*(band_noise(2, (8, 8), band, 1.0, generator()) for _ in range(2)))


def test_impossible_bands_are_refused() -> None:
    with pytest.raises(ValueError, match=r"band: must have 0 < low < high <= 0.5, found 0.3 to 0.6"):
        Band(0.3, 0.6)
    with pytest.raises(ValueError, match=r"a map of 8x8 has no frequency from 0.01 to 0.02"):
        band_noise(1, (8, 8), Band(0.01, 0.02), 1.0, generator())
