"""Augmentation against a naive loop over images and pixels with the same random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from trainers.augment import Augment, Draws, Placement, normalise


def naive(augment: Placement, images: torch.Tensor, draws: Draws) -> torch.Tensor:
    """The definition, pixel by pixel."""
    batch, _, height, width = images.shape
    result = torch.zeros_like(images)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                from_x = width - 1 - x if draws.mirror[b] else x  # the crop is mirrored, not the padded image
                row = y + int(draws.top[b]) - augment.shift
                column = from_x + int(draws.left[b]) - augment.shift
                top = int(draws.row[b]) - augment.cutout // 2
                left = int(draws.column[b]) - augment.cutout // 2
                is_cut = top <= y < top + augment.cutout and left <= x < left + augment.cutout
                if 0 <= row < height and 0 <= column < width and not is_cut:
                    result[b, :, y, x] = images[b, :, row, column]
    return result


@settings(max_examples=40)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    flip=st.booleans(),
    shift=st.integers(0, 3),
    cutout=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_equals_the_naive_loop(
    height: int, width: int, channels: int, flip: bool, shift: int, cutout: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 256, (4, channels, height, width), generator=generator, dtype=torch.uint8)
    augment = Placement(flip=flip, shift=shift, cutout=cutout)
    draws = augment.draw(4, (height, width), generator)
    before = images.clone()
    result = augment.apply(images, draws)
    assert result.dtype == torch.uint8
    assert torch.equal(result, naive(augment, images, draws))
    assert torch.equal(images, before)


def test_calling_draws_and_applies() -> None:
    images = torch.arange(2 * 3 * 16, dtype=torch.uint8).view(2, 3, 4, 4)
    augment = Placement(flip=True, shift=2, cutout=2)
    drawn = augment.apply(images, augment.draw(2, (4, 4), torch.Generator().manual_seed(5)))
    assert torch.equal(augment(images, torch.Generator().manual_seed(5)), drawn)


def test_draws_are_uniform_and_independent() -> None:
    draws = Placement(flip=True, shift=2, cutout=4).draw(40_000, (8, 6), torch.Generator().manual_seed(0))
    expected = {"top": 5, "left": 5, "mirror": 2, "row": 8, "column": 6}
    for name, values in expected.items():
        counts = torch.bincount(getattr(draws, name), minlength=values)
        assert len(counts) == values
        # Chi-square: its mean is values - 1 and its deviation sqrt(2 (values - 1)); five deviations never happen.
        mean = 40_000 / values
        chi2 = float(((counts - mean) ** 2 / mean).sum())
        assert chi2 < (values - 1) + 5 * (2 * (values - 1)) ** 0.5, name
    table = np.corrcoef(torch.stack([getattr(draws, name) for name in expected]).numpy())
    assert np.abs(table - np.eye(5)).max() < 5 / 40_000**0.5


def test_policies() -> None:
    assert Augment.of("none", (32, 32)) == Augment(Placement(flip=False, shift=0, cutout=0))
    assert Augment.of("flip", (32, 32)) == Augment(Placement(flip=True, shift=0, cutout=0))
    assert Augment.of("shift", (8, 8)) == Augment(Placement(flip=False, shift=1, cutout=0))
    assert Augment.of("standard", (32, 32)) == Augment(Placement(flip=True, shift=4, cutout=8))
    assert Augment.of("shift", (4, 64)) == Augment(Placement(flip=False, shift=1, cutout=0))


def test_no_augmentation_takes_no_random_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    images = torch.ones(2, 1, 4, 4)
    assert Augment.of("none", (4, 4))(images, generator) is images
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalise(channels: int) -> None:
    mean, std = (0.5, 0.4, 0.3)[:channels], (0.25, 0.5, 0.1)[:channels]
    images = torch.randint(0, 256, (5, channels, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = np.empty(images.shape)
    for c in range(channels):
        expected[:, c] = (images[:, c].numpy() / 255.0 - mean[c]) / std[c]
    result = normalise(images, mean, std)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=2e-6)
