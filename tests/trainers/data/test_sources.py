"""The registry of sources, and what every source promises."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from trainers.data import sources
from trainers.data.config import DataConfig
from trainers.data.types import ReadContext
from trainers.errors import DataError


def test_the_known_sources() -> None:
    own = {"digits", "folder", "cifar10", "cifar100"}
    torchs = {"torch/", "torch/mnist", "torch/kmnist", "torch/qmnist", "torch/folder", "torch/image_folder"}
    assert set(sources.SOURCES) == own | torchs | {"timm", "hfds/", "hfids/", "tfds/", "wds/"}
    assert all(source.name == name for name, source in sources.SOURCES.items())


def test_a_second_source_of_one_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'digits' is registered already"):
        sources.register(dataclasses.replace(sources.get("folder"), name="digits"))
    assert sources.get("digits").path == "none"


def test_an_unknown_source_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"known: cifar10, cifar100, digits, folder, hfds/NAME, .*found 'digit'; did you mean digits"
    ):
        sources.get("digit")


@pytest.mark.parametrize("name", ["folder", "cifar10", "cifar100"])
def test_a_missing_folder_or_a_file_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        sources.get(name).locate(DataConfig(source=name, path=tmp_path / "absent"))
    (tmp_path / "archive.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match="is not a folder"):
        sources.get(name).locate(DataConfig(source=name, path=tmp_path / "archive.tar.gz"))


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    calls: list[tuple[int, int]] = []
    decoded = (
        sources.get("digits").locate(DataConfig()).read(ReadContext(lambda done, total: calls.append((done, total))))
    )
    assert (decoded.name, decoded.class_names, list(decoded.parts)) == ("digits", tuple("0123456789"), ["train"])
    pictures = decoded.parts["train"]
    assert (pictures.images.shape, pictures.images.dtype) == ((1797, 1, 8, 8), np.uint8)
    assert calls == [(1797, 1797)]
    raw = load_digits()
    np.testing.assert_array_equal(pictures.labels, raw.target)
    scaled = {ink: round(ink * 255 / 16) for ink in range(17)}  # 8 -> 127.5, to the even 128
    expected = [[scaled[int(v)] for v in image.ravel()] for image in raw.images]
    np.testing.assert_array_equal(pictures.images.reshape(1797, 64), expected)


def test_digits_at_another_size() -> None:
    decoded = sources.get("digits").locate(DataConfig(image_size=16)).read(ReadContext())
    small = sources.get("digits").locate(DataConfig()).read(ReadContext()).parts["train"].images
    large = decoded.parts["train"].images
    assert large.shape == (1797, 1, 16, 16)
    # Averaging 2x2 blocks of the enlarged digits gives nearly the digits, and not their mirror images.
    blocks = large.reshape(1797, 8, 2, 8, 2).mean((2, 4)).ravel()
    assert np.corrcoef(blocks, small.ravel())[0, 1] > 0.98
    assert np.corrcoef(blocks, small[..., ::-1].ravel())[0, 1] < 0.9
