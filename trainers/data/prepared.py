"""Images decoded once into one file, in a fixed train, validation and test split. No torch.

`prepare` decodes a source into a safetensors file, whose name depends on the request and on the data. Where the source has
its own validation or test part, that is the split, unchanged. Where it has none, the split is drawn from the train part,
class by class, by the content of the images (`trainers.data.split`).

Images go to disk as they are decoded and from there, in the order of the split, to the file: memory holds few of them,
whatever their number. Meanwhile `prepare` needs disk space for all images twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.data import sources
from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.grouping import is_table, table_file
from trainers.data.split import Partition, partition
from trainers.data.summary import check_images_show_something
from trainers.data.types import (
    PARTS,
    READING_VERSION,
    AugmentPolicy,
    DecodedData,
    LocatedData,
    Progress,
    ReadContext,
)
from trainers.data.verification import METADATA_DIGEST, metadata_digest, verify
from trainers.disk import disk_errors
from trainers.errors import DataError
from trainers.files import atomic_write
from trainers.input_files import read_input
from trainers.tensor_file import TensorFile

LAYOUT_VERSION = 1
"""Of the file that `prepare` writes, and of the split in it; files of another version are not found."""

MAX_SKIPPED_NAMES = 1000
"""Broken images that a file names; of more it has the number alone."""

log = logging.getLogger(__name__)


def prepare(
    config: DataConfig,
    cache: Path,
    progress: Progress | None = None,
    located: LocatedData | None = None,
    reading_version: int = READING_VERSION,
) -> Path:
    """Decode the images of `config` into one file in the folder `cache` and return it; at once if it exists already, undamaged.

    Args:
        config: which images.
        cache: a folder; created if it does not exist.
        progress: called with the number of images decoded and the total number, also between the steps that follow, with
            the same numbers; what it raises ends the work.
        located: where the images are; None: `prepare` looks for them.
        reading_version: of the rules by which the source is read; a study keeps those that it started with.

    Raises:
        DataError: the data are missing, broken, or too few for the split; or the disk is full.
    """
    source = sources.get(config.source)
    located = locate(config, reading_version) if located is None else located
    file = _file_for(config, located, cache)
    heartbeat = _Heartbeat(progress)
    if _is_intact(file, reading_version, lambda: heartbeat(0, located.count or 0)):
        log.debug("reused the prepared images of source %r: %s", config.source, file)
        return file
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        decoded = located.read(ReadContext(heartbeat, cache, reading_version))
        check_images_show_something(decoded)
        if config.download:  # the data were not complete when they were located
            file = _file_for(config, locate(config, reading_version), cache)
        with atomic_write(file) as temporary:
            partitioned = partition(decoded, config, heartbeat.beat)
            _write(temporary, decoded, partitioned, source.augment, reading_version, heartbeat.beat)
    counts = ", ".join(f"{len(images)} {part}" for part, images in decoded.parts.items())
    log.info("decoded source %r (%s; %d left out) into %s", config.source, counts, len(decoded.skipped), file)
    return file


def locate(config: DataConfig, reading_version: int = READING_VERSION) -> LocatedData:
    """The data of `config`, by the rules of `reading_version`."""
    source = sources.get(config.source)
    if reading_version == READING_VERSION:
        return source.locate(config)
    return source.locate_as_before(config)


def _file_for(config: DataConfig, located: LocatedData, cache: Path) -> Path:
    """The file in `cache` for `config` and the data `located`; how the data got there is no part of its name."""
    # Fields of later versions are part of the name only where they are set, so that the names of earlier files stay.
    later = {"group_by": config.group_by, "split": config.split, "classes": config.classes}
    request = config.model_dump_json(exclude={"path", "download", *later})
    request += "".join(f"\n{key} {_later_identity(key, config)}" for key, value in later.items() if value is not None)
    text = f"{LAYOUT_VERSION}\n{request}\n{located.identity}"
    name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    source = re.sub(r"[^\w.-]+", "-", config.source)[:64]
    return cache / f"{source}-{name[:16]}.safetensors"


def _later_identity(key: str, config: DataConfig) -> str:
    """The names of classes, the regular expression, or a digest of the table, that `key` of `config` holds."""
    if key == "classes":
        return json.dumps(sorted(config.classes or ()))
    if config.split is not None and key == "split":
        return hashlib.sha256(read_input(config.split.file)).hexdigest()
    group_by = config.group_by or ""
    return hashlib.sha256(read_input(table_file(group_by))).hexdigest() if is_table(group_by) else group_by


class _Heartbeat:
    """Passes the progress of decoding on, and repeats it while the images are split and written.

    Args:
        progress: called with the number of images decoded and the total number.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._last: tuple[int, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        self._last = done, total
        self.beat()

    def beat(self) -> None:
        """Call the progress with its last numbers."""
        if self._progress is not None and self._last is not None:
            self._progress(*self._last)


def _write(
    file: Path,
    decoded: DecodedData,
    partitioned: Partition,
    augment: AugmentPolicy,
    reading_version: int,
    heartbeat: Callable[[], None],
) -> None:
    """Write labels, images and metadata of the splits, in one pass; `heartbeat` is called before each block of images."""
    splits = partitioned.splits
    labels = {part: selection.labels for part, selection in splits.items()}
    shape = decoded.parts["train"].images.shape[1:]
    metadata: dict[str, Any] = {
        "name": decoded.name,
        "class_names": decoded.class_names,
        "default_augment": augment,
        "reading_version": reading_version,
        "skipped_count": len(decoded.skipped),
        "skipped": decoded.skipped[:MAX_SKIPPED_NAMES],
        "passed_over": [files.to_dict() for files in decoded.passed_over],
        "summaries": {part: summary.to_dict() for part, summary in decoded.summaries.items()},
        "duplicates": partitioned.duplicates.to_dict(),
    }
    shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
    shapes |= {f"{part}.labels": (np.dtype(np.int64), (len(labels[part]),)) for part in PARTS}
    shapes |= {f"{part}.images": (np.dtype(np.uint8), (len(labels[part]), *shape)) for part in PARTS}
    digest = hashlib.sha256(json.dumps(list(decoded.class_names)).encode())
    with file.open("wb") as stream:
        tensors = TensorFile(stream, shapes, metadata_bytes=2 * len(json.dumps(metadata)))
        for part in PARTS:
            tensors.write(labels[part])
        channels = [_PixelStatistics() for _ in range(shape[0])]
        for part in PARTS:
            digest.update(f"{part} {(len(labels[part]), *shape)}".encode())
            for images in splits[part].blocks():
                heartbeat()
                tensors.write(images)
                digest.update(images.data)
                if part == "train":
                    for channel, statistics in enumerate(channels):
                        statistics.add(images[:, channel])
            digest.update(labels[part].tobytes())
        metadata |= {"mean": [c.mean for c in channels], "std": [c.std for c in channels]}
        metadata["fingerprint"] = digest.hexdigest()[:32]
        metadata[METADATA_DIGEST] = metadata_digest(metadata)
        # One key, so that the order of the keys is the same for every reader.
        tensors.finish({"dataset": json.dumps(metadata)})


def _is_intact(file: Path, reading_version: int, heartbeat: Callable[[], None]) -> bool:
    """Whether `file` exists as it was written, read by the rules of `reading_version`; `heartbeat` is called between blocks."""
    try:
        if describe(file).reading_version != reading_version:
            return False
        verify(file, heartbeat)
    except DataError as error:
        if file.exists():
            log.warning("%s", error)
        return False
    return True


class _PixelStatistics:
    """Mean and standard deviation of pixels taken as 0..1, from exact counts of the 256 values."""

    def __init__(self) -> None:
        self._counts = np.zeros(256, np.int64)

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Count `pixels`."""
        self._counts += np.bincount(pixels.ravel(), minlength=256)

    @property
    def mean(self) -> float:
        return float((self._counts * _LEVELS).sum() / self._counts.sum())

    @property
    def std(self) -> float:
        """At least one grey level, because it is divided by."""
        variance = float((self._counts * (_LEVELS - self.mean) ** 2).sum() / self._counts.sum())
        return max(variance**0.5, 1 / 255)


_LEVELS = np.arange(256) / 255
