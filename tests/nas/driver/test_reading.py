"""Reading the images of a study ends soon when they are not needed any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.driver.start import reading
from nas.driver.start.reading import ImageReader
from nas.study.config import StudyConfig
from trainers.data.types import LocatedData

CONFIG = StudyConfig.model_validate(
    {"space": {"stem": {"patch": 2}, "stages": [{"mixer": "pool", "width": 8}]}, "data": {"source": "digits"}}
)


@pytest.fixture
def endless_listing(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A list of images that goes on until the event is set."""
    event = threading.Event()

    def locate(config: StudyConfig, reading_version: int) -> LocatedData:
        event.wait()
        raise AssertionError("must not be used")

    monkeypatch.setattr(reading, "locate_images", locate)
    monkeypatch.setattr(reading, "LISTING_WAIT_S", 0.01)
    yield event
    event.set()


@pytest.mark.usefixtures("endless_listing")
def test_the_end_of_the_block_does_not_wait_for_the_list(tmp_path: Path) -> None:
    start_s = time.monotonic()
    with ImageReader(CONFIG, tmp_path / "cache") as images:
        assert not images.decode()
    assert time.monotonic() - start_s < 10
    assert not (tmp_path / "cache").exists()
