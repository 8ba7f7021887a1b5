"""Changes of colour and geometry against Pillow, image by image, and the policy that draws them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageEnhance, ImageOps

from trainers.augment import colour, geometry
from trainers.augment.policy import Augment
from trainers.augment.strong import Strong, operations

SIZES = [(3, 32, 32), (3, 9, 14), (3, 1, 5), (1, 8, 8), (1, 2, 2)]


def some_images(shape: tuple[int, int, int], seed: int, count: int = 12) -> torch.Tensor:
    """Noise, smooth ramps and flat images, `(count, *shape)`: all types of histograms."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
    _, height, width = shape
    ramp = np.add.outer(np.arange(height), np.arange(width)) * 200 // (height + width) + 20
    images[0], images[1], images[2], images[3] = ramp, 0, 255, 128
    images[4] = (images[4] > 127) * np.uint8(255)
    images[5] //= 5
    return torch.from_numpy(images)


def pillow(image: torch.Tensor) -> Image.Image:
    """`(C, H, W)` as an image of Pillow."""
    array = image.permute(1, 2, 0).numpy()
    return Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0])


def pixels(image: Image.Image) -> torch.Tensor:
    array = np.array(image)
    return torch.from_numpy(array if array.ndim == 3 else array[:, :, None]).permute(2, 0, 1)


def check(images: torch.Tensor, result: torch.Tensor, expected: Callable[[Image.Image, int], Image.Image]) -> None:
    """Check that `result` has the bits of Pillow's, image by image, and that the input is not changed."""
    assert result.dtype == torch.uint8
    assert result.shape == images.shape
    for index, image in enumerate(images):
        assert torch.equal(result[index], pixels(expected(pillow(image), index))), index


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.brightness, ImageEnhance.Brightness),
        (colour.contrast, ImageEnhance.Contrast),
        (colour.saturation, ImageEnhance.Color),
        (colour.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements(ours: Callable[..., torch.Tensor], theirs: type, shape: tuple[int, int, int]) -> None:
    images = some_images(shape, seed=1)
    factors = torch.linspace(0, 1.9, len(images))
    check(images, ours(images, factors), lambda image, index: theirs(image).enhance(float(factors[index])))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("bits", range(1, 9))
def test_posterize(bits: int, shape: tuple[int, int, int]) -> None:
    images = some_images(shape, seed=2)
    check(images, colour.posterize(images, bits), lambda image, _: ImageOps.posterize(image, bits))


@pytest.mark.parametrize("threshold", [0, 1, 128, 178, 255])
def test_solarize(threshold: int) -> None:
    images = some_images((3, 16, 16), seed=3)
    check(images, colour.solarize(images, threshold), lambda image, _: ImageOps.solarize(image, threshold))


@pytest.mark.parametrize("shape", [*SIZES, (3, 64, 64)])
def test_histograms(shape: tuple[int, int, int]) -> None:
    images = some_images(shape, seed=4)
    check(images, colour.autocontrast(images), lambda image, _: ImageOps.autocontrast(image))
    check(images, colour.equalize(images), lambda image, _: ImageOps.equalize(image))


@settings(max_examples=60)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    channels=st.sampled_from([1, 3]),
    coefficients=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    offsets=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    seed=st.integers(0, 2**31),
)
def test_affine_maps(
    height: int, width: int, channels: int, coefficients: list[float], offsets: tuple[float, float], seed: int
) -> None:
    images = torch.from_numpy(
        np.random.default_rng(seed).integers(1, 256, (1, channels, height, width), dtype=np.uint8)
    )
    a, b, d, e = (round(value * 64) / 64 for value in coefficients)  # exact, so that no order of sums can matter
    c, f = (round(value * 64) / 64 for value in offsets)
    expected = pillow(images[0]).transform((width, height), Image.Transform.AFFINE, (a, b, c, d, e, f))
    result = geometry.warp(images, torch.tensor([[[a, b, c], [d, e, f]]], dtype=torch.float64))
    assert torch.equal(result[0], pixels(expected))


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 9, 14)])
def test_rotation_is_that_of_pillow(shape: tuple[int, int, int]) -> None:
    images = some_images(shape, seed=5)
    degrees = torch.linspace(-31, 29, len(images)).double()
    result = geometry.warp(images, geometry.rotate(degrees, (shape[1], shape[2])))
    check(images, result, lambda image, index: image.rotate(float(degrees[index])))


def test_shears_keep_the_centre_and_slide_the_rows() -> None:
    images = torch.zeros(2, 1, 5, 5, dtype=torch.uint8)
    images[:, 0, :, 2] = 9  # a line down the middle
    result = geometry.warp(images, geometry.shear_x(torch.tensor([1.0, -1.0]).double(), (5, 5)))
    assert torch.equal(result[0, 0], 9 * torch.eye(5, dtype=torch.uint8).flip(1))
    assert torch.equal(result[1, 0], 9 * torch.eye(5, dtype=torch.uint8))
    turned = geometry.warp(images.mT, geometry.shear_y(torch.tensor([1.0, -1.0]).double(), (5, 5)))
    assert torch.equal(turned, result.mT)


def test_shifts() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4) + 1
    result = geometry.warp(images, geometry.translate(torch.tensor([1.0]).double(), torch.tensor([-1.0]).double()))
    assert result[0, 0].tolist() == [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0]]


def test_the_operations_at_a_strength() -> None:
    """The values of torchvision's table at 9 of 30, in both directions."""
    images = some_images((3, 32, 32), seed=6)
    forth, back = torch.ones(len(images)).double(), -torch.ones(len(images)).double()
    table = operations(0.3)
    assert len(table) == 14
    assert torch.equal(table["identity"](images, forth), images)
    check(images, table["brightness"](images, forth), lambda image, _: ImageEnhance.Brightness(image).enhance(1.27))
    check(images, table["saturation"](images, back), lambda image, _: ImageEnhance.Color(image).enhance(0.73))
    check(images, table["posterize"](images, back), lambda image, _: ImageOps.posterize(image, 7))
    check(images, table["solarize"](images, back), lambda image, _: ImageOps.solarize(image, 178))
    check(images, table["rotate"](images, back), lambda image, _: image.rotate(-9))
    moved = table["translate_x"](images, forth)  # 150 / 331 * 32 * 0.3 = 4.35 pixels
    assert torch.equal(moved[..., :28], images[..., 4:])
    assert not moved[..., 28:].any()
    moved = table["translate_y"](images, back)
    assert torch.equal(moved[:, :, 4:], images[:, :, :28])


def test_each_image_gets_its_own_operations() -> None:
    """Applied one image at a time, one operation at a time, the result is the same."""
    images = some_images((3, 16, 16), seed=7, count=40)
    before = images.clone()
    strong = Strong(count=3, strength=0.8)
    chosen, directions = strong.draw(len(images), torch.Generator().manual_seed(0))
    result = strong.apply(images, chosen, directions)
    assert torch.equal(images, before)
    table = list(operations(0.8).values())
    for index in range(len(images)):
        image = images[index : index + 1]
        for which, direction in zip(chosen[:, index], directions[:, index], strict=True):
            image = table[int(which)](image, direction[None])
        assert torch.equal(result[index], image[0])


def test_draws_are_uniform() -> None:
    chosen, directions = Strong().draw(30_000, torch.Generator().manual_seed(0))
    assert chosen.shape == directions.shape == (2, 30_000)
    counts = torch.bincount(chosen.flatten(), minlength=14)
    assert len(counts) == 14
    mean = 60_000 / 14
    assert float(((counts - mean) ** 2 / mean).sum()) < 13 + 5 * 26**0.5
    assert set(directions.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(directions.mean())) < 5 / 60_000**0.5


def test_the_policy() -> None:
    augment = Augment.of("strong", (32, 32))
    assert augment.strong == Strong(count=2, strength=0.3)
    assert augment.placement == Augment.of("standard", (32, 32)).placement
    images = some_images((3, 32, 32), seed=8)
    one, two, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
