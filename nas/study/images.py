"""The decoded images of a study: prepares them from the configuration, and finds them in the folder of the study."""

from __future__ import annotations

from pathlib import Path

from nas.errors import ConfigError, MachineError, StudyError
from nas.study.config import StudyConfig
from trainers.data.prepared import DatasetInfo, describe, prepare
from trainers.data.types import Progress
from trainers.errors import DataError, DiskError

DATA_KEYS = ("source", "path", "splits", "image_size", "limit", "group_by", "split")
"""Keys of `data` that an error may name; other errors name `path`."""


def prepare_images(config: StudyConfig, cache: Path, progress: Progress | None = None) -> tuple[Path, DatasetInfo]:
    """Decode the images of a study into a file in the folder `cache`, unless it exists; returns the file and its description.

    Raises:
        ConfigError: images are missing, broken, or too few.
        MachineError: the disk is full or broken.
    """
    try:
        data_file = prepare(config.data, cache, progress)
        return data_file, describe(data_file)
    except DiskError as error:
        raise MachineError(f"data: {error}") from None
    except DataError as error:
        keys = error.place.split(".")
        keys = keys if keys[0] in DATA_KEYS else ["path"]
        raise ConfigError(config.where("data", *keys), f"data: {error}") from None


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
