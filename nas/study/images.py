"""The decoded images of a study: prepares them from the configuration, and finds them in the folder of the study."""

from __future__ import annotations

from pathlib import Path

from nas.errors import ConfigError, StudyError
from nas.study.config import StudyConfig
from trainers.data.prepared import READING_VERSION, DatasetInfo, describe, prepare
from trainers.data.types import Progress
from trainers.errors import DataError

DATA_KEYS = ("source", "path", "splits", "image_size", "limit")
"""Keys of `data` that an error may name; other errors name `path`."""


def prepare_images(
    config: StudyConfig, cache: Path, progress: Progress | None = None, reading_version: int = READING_VERSION
) -> tuple[Path, DatasetInfo]:
    """Decode the images of a study into a file in the folder `cache`, unless it exists; returns the file and its description.

    Args:
        config: the configuration of the study.
        cache: the folder.
        progress: called with the number of images decoded and the total number.
        reading_version: of the rules by which folders are read; a study keeps those that it started with.

    Raises:
        ConfigError: images are missing, broken, or too few.
    """
    try:
        data_file = prepare(config.data, cache, progress, reading_version=reading_version)
        return data_file, describe(data_file)
    except DataError as error:
        key = error.place if error.place in DATA_KEYS else "path"
        raise ConfigError(config.where("data", key), f"data: {error}") from None


def find_images(folder: Path, fingerprint: str) -> Path:
    """Find the file in `folder` with the decoded images of this `fingerprint`.

    Raises:
        StudyError: there is none.
    """
    for file in sorted(folder.glob("*.safetensors")):
        try:
            if describe(file).fingerprint == fingerprint:
                return file
        except DataError:
            continue  # damaged
    raise StudyError(
        f"{folder}: the study's decoded images are missing or damaged; `nas search` on it decodes them again"
    )
