"""Images of studies of versions 0.1 and 0.2 are decoded again to the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.prepared import prepare

FINGERPRINTS = {
    "RGBA": "2d98294f5daf9d709db8f2e43bada5e2",
    "LA": "bd3d507163da515e33d9d7773a6f9e83",
    "P": "01fd0d10b09c9edc796573da9ce66e7d",
    "I;16": "7cdda555e48e5855622b68f632f8d908",
}
"""What version 0.2 computed for the `pictures` of each mode."""


def picture(mode: str, seed: int) -> Image.Image:
    """Random pixels, (width, height) = (10, 12)."""
    random = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 65536, (12, 10), dtype=np.uint16))
    channels = {"RGBA": (4,), "LA": (2,)}.get(mode, ())
    image = Image.fromarray(random.integers(0, 256, (12, 10, *channels), dtype=np.uint8))
    if mode == "P":
        image = image.convert("P")
        image.putpalette(random.integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image


@pytest.fixture(params=FINGERPRINTS)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(mode: str, tmp_path: Path) -> DataConfig:
    """Two classes of six images of the `mode`."""
    for label, name in enumerate(("a", "b")):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(6):
            options = {"transparency": 7} if mode == "P" else {}
            picture(mode, 10 * label + number).save(folder / f"{number}.png", **options)
    return DataConfig(source="folder", path=tmp_path / "pictures", image_size=8)


def test_pixels_of_an_earlier_version(mode: str, config: DataConfig, tmp_path: Path) -> None:
    info = describe(prepare(config, tmp_path / "cache", reading_version=1))
    assert info.fingerprint == FINGERPRINTS[mode]
    assert info.summaries["train"].modes == {mode: 12}
    assert info.summaries["train"].transparent == {"I;16": 0, "P": 4}.get(mode, 12)


def test_a_file_of_other_rules_is_not_reused(mode: str, config: DataConfig, tmp_path: Path) -> None:
    new = describe(prepare(config, tmp_path / "cache")).fingerprint
    assert describe(prepare(config, tmp_path / "cache", reading_version=1)).fingerprint == FINGERPRINTS[mode] != new
    assert describe(prepare(config, tmp_path / "cache")).fingerprint == new


def test_images_that_it_could_not_decode(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            picture("L", 10 * number + ord(name)).save(tmp_path / "pictures" / name / f"{number}.png")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "pictures" / "a" / "floats.tif")
    config = DataConfig(source="folder", path=tmp_path / "pictures", image_size=8, on_error="skip")
    assert describe(prepare(config, tmp_path / "cache", reading_version=1)).skipped_count == 1
    assert describe(prepare(config, tmp_path / "cache")).skipped_count == 0
