"""A driver that joins the study of others has the same configuration and the same images, or leaves no trace."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.driver.run import run_search
from nas.driver.start.home import find_home
from nas.driver.start.opening import open_or_create_study
from nas.errors import ConfigError
from nas.execution.simulator import Simulator
from nas.study.config import StudyConfig
from nas.study.database.storage_url import StorageUrl


def write_images(folder: Path, seed: int) -> Path:
    """A folder with ten images of each of two classes."""
    rng = np.random.default_rng(seed)
    for index in range(20):
        file = folder / "ab"[index % 2] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(file)
    return folder


def config_of(images: Path, **changes: Any) -> StudyConfig:
    space = {"stem": {"patch": 4}, "stages": [{"mixer": "pool", "width": [8, 16], "depth": 1}]}
    data = {"source": "folder", "path": str(images)}
    settings = {"name": "shared", "data": data, "space": space, "objectives": ["accuracy", "macs"]}
    return StudyConfig.model_validate({**settings, **changes})


@pytest.fixture
def created(tmp_path: Path, database: str) -> StorageUrl:
    """The database of a study of ten images a class."""
    url = StorageUrl.parse(database)
    open_or_create_study(config_of(write_images(tmp_path / "images", 0)), tmp_path / "first", url)
    return url


def test_the_study_is_joined_under_its_name(tmp_path: Path, created: StorageUrl) -> None:
    config = config_of(tmp_path / "images")
    home = find_home(config, tmp_path / "second", created)
    assert (home.is_joined, home.holds_study, home.storage) == (True, True, created)
    assert find_home(config, tmp_path / "first").place == home.place
    assert not find_home(config_of(tmp_path / "images", name="other"), tmp_path / "second", created).holds_study
    assert find_home(config_of(tmp_path / "images", storage=created.text), tmp_path / "second").is_joined
    with home.locked():
        assert home.open().name == "shared"
    assert not find_home(config, tmp_path / "second").is_joined


def test_other_images_are_refused_and_the_folder_does_not_name_the_study(tmp_path: Path, created: StorageUrl) -> None:
    config = config_of(write_images(tmp_path / "others", 1))
    with pytest.raises(ConfigError, match="data: must stay the images that the study started with"):
        run_search(config, tmp_path / "second", open_with=lambda: nullcontext(Simulator()), storage=created)
    assert not (tmp_path / "second" / "storage.json").exists()
    assert not list((tmp_path / "second").rglob("*.safetensors"))


def test_another_configuration_is_refused(tmp_path: Path, created: StorageUrl) -> None:
    config = config_of(tmp_path / "images", seed=5)
    with pytest.raises(ConfigError, match="seed: must stay 0 as at the start of the study, found 5"):
        run_search(config, tmp_path / "second", storage=created)
    assert not (tmp_path / "second" / "storage.json").exists()
    elsewhere = config_of(tmp_path / "images", storage="postgresql://me@host/db")
    with pytest.raises(ConfigError, match=r"^storage: must stay postgresql://.* found postgresql://me@host/db"):
        run_search(elsewhere, tmp_path / "first")
