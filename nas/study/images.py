"""The decoded images of a study: prepares them from the configuration, and finds them in the folder of the study."""

from __future__ import annotations

from pathlib import Path

from nas.errors import ConfigError, MachineError, StudyError
from nas.study.config import StudyConfig
from trainers.data.prepared import DatasetInfo, describe, prepare
from trainers.data.types import Progress
from trainers.errors import DataError, DiskError
from trainers.files import remove_temporary_files

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


def restore_images(
    config: StudyConfig, cache: Path, fingerprint: str, progress: Progress | None = None
) -> tuple[Path, DatasetInfo]:
    """`prepare_images` of a study that exists: if its images are gone, the file in `cache` of its `fingerprint` serves.

    Images that moved, or whose folder was renamed, are decoded again; `remove_other_files` drops the copy.

    Raises:
        ConfigError: images are gone and not decoded, broken, or too few.
        MachineError: the disk is full or broken.
    """
    try:
        return prepare_images(config, cache, progress)
    except ConfigError:
        if not are_gone(config):
            raise
        try:
            file = find_images(cache, fingerprint)
        except StudyError:
            pass  # the first error says more
        else:
            return file, describe(file)
        raise


def are_gone(config: StudyConfig) -> bool:
    """True if there is nothing at `data.path`, such as after a move, or where a disk is not mounted."""
    path = config.data.path
    return path is None or not path.exists() or (path.is_dir() and not any(path.iterdir()))


def remove_other_files(file: Path, fingerprint: str) -> None:
    """Remove the files beside `file` with decoded images of the same `fingerprint`, and what killed processes left."""
    remove_temporary_files(file.parent)
    for other in file.parent.glob("*.safetensors"):
        if other.name != file.name and _has_fingerprint(other, fingerprint):
            other.unlink(missing_ok=True)


def find_images(folder: Path, fingerprint: str) -> Path:
    """Find the file in `folder` with the decoded images of this `fingerprint`.

    Raises:
        StudyError: there is none.
    """
    for file in sorted(folder.glob("*.safetensors")):
        if _has_fingerprint(file, fingerprint):
            return file
    raise StudyError(
        f"{folder}: the study's decoded images are missing or damaged; `nas search` on it decodes them again"
    )


def _has_fingerprint(file: Path, fingerprint: str) -> bool:
    try:
        return describe(file).fingerprint == fingerprint
    except DataError:
        return False  # damaged
