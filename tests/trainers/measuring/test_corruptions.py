"""One contract for every corruption, and what single ones do, by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.measuring.corruptions import CORRUPTIONS, SEVERITIES, corrupt, seeded_generator
from trainers.measuring.corruptions.base import register
from trainers.measuring.corruptions.blur import disk
from trainers.measuring.corruptions.sampling import sample_at


def pictures(count: int = 12, channels: int = 3, size: tuple[int, int] = (32, 32)) -> Tensor:
    """Smooth random images with some grain, of 0.1 to 0.9."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, size[0] // 4, size[1] // 4, generator=generator)
    smooth = F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)
    return (smooth + 0.1 * torch.rand(smooth.shape, generator=generator)).clamp(0.1, 0.9)


def distance(images: Tensor, name: str, severity: int) -> float:
    return float((corrupt(images, name, severity) - images).square().mean().sqrt())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_keeps_shape_and_range_and_grows_with_its_severity(name: str) -> None:
    images = pictures()
    before = images.clone()
    distances = [distance(images, name, severity) for severity in SEVERITIES]
    assert distances == sorted(distances)
    assert 0.005 < distances[0] < distances[-1] < 0.6
    corrupted = corrupt(images, name, 5)
    assert corrupted.shape == images.shape
    assert corrupted.dtype == torch.float32
    assert 0 <= float(corrupted.min()) <= float(corrupted.max()) <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (4, (12, 20)), (3, (9, 33))])
def test_any_number_of_channels_and_any_size(name: str, channels: int, size: tuple[int, int]) -> None:
    images = pictures(3, channels, size)
    for severity in (1, 5):
        corrupted = corrupt(images, name, severity)
        assert corrupted.shape == images.shape
        assert bool(torch.isfinite(corrupted).all())
        assert not torch.equal(corrupted, images)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_repeated_by_its_seed(name: str) -> None:
    images = pictures(4)
    assert torch.equal(corrupt(images, name, 3, seed=7), corrupt(images, name, 3, seed=7))
    drawn = {"gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "fog", "elastic_transform"}
    assert torch.equal(corrupt(images, name, 3, seed=7), corrupt(images, name, 3, seed=8)) == (name not in drawn)


def test_seeds_are_digests_and_the_same_on_every_machine() -> None:
    assert seeded_generator("fog", 3).initial_seed() == 10258575226969390


def test_a_disk_is_the_area_of_a_circle() -> None:
    kernel = disk(2.5)
    assert kernel.shape == (5, 5)
    assert float(kernel.sum()) == pytest.approx(1)
    assert float(kernel[2, 2]) == pytest.approx(1 / (math.pi * 2.5**2), rel=0.01)  # a whole pixel of the area
    assert torch.allclose(kernel, kernel.T)
    assert disk(0.4).tolist() == [[1.0]]


def test_motion_keeps_a_plane_and_widens_a_spot_in_one_direction() -> None:
    plane = torch.full((2, 1, 16, 16), 0.25)
    assert torch.allclose(corrupt(plane, "motion_blur", 5), plane, atol=1e-5)
    places = (torch.arange(33) - 16).double()
    spot = torch.exp(-(places[:, None].square() + places[None, :].square()) / (2 * 2.0**2))
    blurred = corrupt(spot.float()[None, None], "motion_blur", 5)[0, 0].double()
    shares = blurred / blurred.sum()
    rows, columns = (float((shares.sum(dim=axis) * places.square()).sum()) for axis in (1, 0))
    cross = float((shares * places[:, None] * places[None, :]).sum())
    across, along = torch.linalg.eigvalsh(torch.tensor([[rows, cross], [cross, columns]])).tolist()
    length = 1 + 40 * 33 / 224
    assert across == pytest.approx(2.0**2, rel=0.02)
    assert along == pytest.approx(2.0**2 + length**2 / 12, rel=0.02)  # the variance of a uniform line is added


def test_displaced_reading_moves_the_image() -> None:
    images = pictures(2)
    moved = sample_at(images, torch.tensor([1.0, 0.0]))
    assert torch.allclose(moved[:, :, :-1], images[:, :, 1:], atol=1e-5)
    assert torch.allclose(moved[:, :, -1], images[:, :, -1], atol=1e-5)
    between = sample_at(images, torch.tensor([0.0, 0.5]))
    assert torch.allclose(between[..., :-1], (images[..., :-1] + images[..., 1:]) / 2, atol=1e-5)


def test_light_by_hand() -> None:
    images = torch.tensor([[[[0.2, 0.4], [0.6, 0.8]]]])
    assert torch.allclose(corrupt(images, "brightness", 3), torch.tensor([[[[0.5, 0.7], [0.9, 1.0]]]]))
    assert torch.allclose(corrupt(images, "contrast", 1), 0.5 + 0.4 * (images - 0.5))


def test_pixels_of_a_low_resolution_are_means() -> None:
    images = pictures(1, 1, (8, 8))
    corrupted = corrupt(images, "pixelate", 4)  # at most 8 - 4 pixels a side
    assert torch.allclose(corrupted[0, 0, :2, :2], images[0, 0, :2, :2].mean().expand(2, 2))


@pytest.mark.parametrize(
    ("name", "severity", "message"),
    [
        ("snow", 1, "corruption: must be one of .*, found 'snow'"),
        ("fog", 6, "severity: must be from 1 to 5, found 6"),
    ],
)
def test_wrong_names_and_severities_are_refused(name: str, severity: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt(pictures(1), name, severity)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="corruption 'fog' is registered already"):
        register("fog", "light")(lambda images, severity, generator: images)
