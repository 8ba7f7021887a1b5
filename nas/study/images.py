"""The decoded images of a study: prepares them from the configuration, and finds them in the folder of the study."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import ConfigError, MachineError, StudyError, UsageError
from nas.study.config import StudyConfig
from nas.study.destinations import existing_parent
from trainers.data.description import DatasetInfo, describe
from trainers.data.prepared import locate, prepare
from trainers.data.types import READING_VERSION, LocatedData, Progress
from trainers.data.verification import verify
from trainers.errors import DataError, DiskError
from trainers.files import remove_temporary_files

DATA_KEYS = ("source", "path", "splits", "image_size", "limit", "group_by", "split", "classes")
"""Keys of `data` that an error may name; other errors name `path`."""

COPIES_ON_DISK = 2
"""Decoded images are on the disk twice while the file is written (`trainers.data.prepared`)."""


def locate_images(config: StudyConfig, reading_version: int = READING_VERSION) -> LocatedData:
    """Look for the images of a study by the rules of `reading_version`, without decoding any.

    Raises:
        ConfigError: they are missing, or not in the layout of the source.
    """
    with data_errors(config):
        return locate(config.data, reading_version)


def check_room(config: StudyConfig, located: LocatedData, folder: Path) -> None:
    """Check that the disk of `folder` has room for the decoded images, as far as their number and size are known.

    Raises:
        ConfigError: it has less than grey images would need; images of colour need three times as much.
    """
    size = config.data.image_size
    if located.count is None or size is None:
        return
    needed = COPIES_ON_DISK * located.count * size**2
    free = shutil.disk_usage(existing_parent(folder)).free
    if needed > free:
        rule = f"{located.count} images of {size}x{size} pixels need at least {needed / 1e9:.1f} GB on the disk of {folder}"
        raise ConfigError(config.where("data"), f"data: {rule}, found {free / 1e9:.1f} GB (use another --out)")


def prepare_images(
    config: StudyConfig,
    cache: Path,
    progress: Progress | None = None,
    located: LocatedData | None = None,
    reading_version: int = READING_VERSION,
) -> tuple[Path, DatasetInfo]:
    """Decode the images of a study into a file in the folder `cache`, unless it exists; returns the file and its description.

    Args:
        config: the study.
        cache: the folder of decoded images.
        progress: called with the number of images decoded and the total number.
        located: the images as `locate_images` returns them; None: it is called.
        reading_version: of the rules by which folders are read; a study keeps those that it started with.

    Raises:
        ConfigError: images are missing, broken, or too few.
        MachineError: the disk is full or broken.
    """
    with data_errors(config):
        data_file = prepare(config.data, cache, progress, located, reading_version)
        return data_file, describe(data_file)


@contextmanager
def data_errors(config: StudyConfig) -> Iterator[None]:
    """Raise a `DataError` of the block as a `ConfigError` that names the place in the configuration."""
    try:
        yield
    except DiskError as error:
        raise MachineError(f"data: {error}") from None
    except DataError as error:
        keys = error.place.split(".")
        keys = keys if keys[0] in DATA_KEYS else ["path"]
        raise ConfigError(config.where("data", *keys), f"data: {error}") from None


def restore_images(
    config: StudyConfig,
    cache: Path,
    fingerprint: str,
    progress: Progress | None = None,
    located: LocatedData | None = None,
    reading_version: int = READING_VERSION,
) -> tuple[Path, DatasetInfo]:
    """`prepare_images` of a study that exists: if its images are gone, the file in `cache` of its `fingerprint` serves.

    Images that moved, or whose folder was renamed, are decoded again; `remove_other_files` drops the copy.

    Args:
        config: the study.
        cache: the folder of decoded images.
        fingerprint: of the images of the study.
        progress: called with the number of images decoded and the total number.
        located: the images as `locate_images` returns them; None: it is called.
        reading_version: of the rules by which folders are read.

    Raises:
        ConfigError: images are gone and not decoded, broken, or too few.
        MachineError: the disk is full or broken.
    """
    try:
        return prepare_images(config, cache, progress, located, reading_version)
    except ConfigError:
        if not are_gone(config):
            raise
        try:
            file = find_images(cache, fingerprint)
            verify(file)
        except (StudyError, DataError):
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
        UsageError: there is none.
    """
    for file in sorted(folder.glob("*.safetensors")):
        if _has_fingerprint(file, fingerprint):
            return file
    raise UsageError(
        f"{folder}: the study's decoded images are missing or damaged; `nas search` on it decodes them again"
    )


def _has_fingerprint(file: Path, fingerprint: str) -> bool:
    try:
        return describe(file).fingerprint == fingerprint
    except DataError:
        return False  # damaged
