"""The decoded images of a study that exists: found by fingerprint where the images are gone, and kept once."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.errors import ConfigError, MachineError
from nas.study.config import StudyConfig
from nas.study.images import are_gone, prepare_images, remove_other_files, restore_images
from trainers.data.config import DataConfig


def config_of(folder: Path) -> StudyConfig:
    space = {"stem": {"patch": 2}, "stages": [{"mixer": "pool", "width": 8}]}
    data = DataConfig(source="folder", path=folder, image_size=8)
    return StudyConfig.model_validate({"space": space, "data": data})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


def test_a_renamed_folder_is_decoded_again_and_one_file_is_kept(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "data"
    first, info = prepare_images(config_of(photos), cache)
    photos.rename(tmp_path / "pictures")
    (cache / ".x.safetensors.1.tmp").write_bytes(b"left by a killed process")
    (cache / "other.safetensors").write_bytes(b"another")
    second, again = restore_images(config_of(tmp_path / "pictures"), cache, info.fingerprint)
    assert again.fingerprint == info.fingerprint
    assert second != first
    remove_other_files(second, info.fingerprint)
    assert sorted(file.name for file in cache.iterdir()) == sorted([second.name, "other.safetensors"])


@pytest.mark.parametrize("is_empty", [True, False])
def test_images_that_are_gone_are_found_by_their_fingerprint(photos: Path, tmp_path: Path, is_empty: bool) -> None:
    cache, config = tmp_path / "data", config_of(photos)
    file, info = prepare_images(config, cache)
    assert not are_gone(config)
    shutil.rmtree(photos)
    if is_empty:  # a disk that is not mounted
        photos.mkdir()
    assert are_gone(config)
    assert restore_images(config, cache, info.fingerprint) == (file, info)
    with pytest.raises(ConfigError, match="photos"):
        restore_images(config, cache, "other images")
    with pytest.raises(ConfigError, match="photos"):
        prepare_images(config, cache)  # a new study needs its images


def test_broken_images_are_not_gone(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "data"
    _, info = prepare_images(config_of(photos), cache)
    (photos / "cats" / "0.png").write_bytes(b"no image")
    with pytest.raises(ConfigError, match=r"cats/0\.png"):
        restore_images(config_of(photos), cache, info.fingerprint)


def test_a_full_disk_is_no_fault_of_the_configuration(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trainers.tensor_file.Scratch.append", full)
    with pytest.raises(MachineError, match=r"data: .*data: cannot be read or written \(No space left on device\)"):
        prepare_images(config_of(photos), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
