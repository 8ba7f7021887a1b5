"""Images decoded once into one file, in a fixed train, validation and test split. No torch.

`prepare` decodes a source into a safetensors file, named by what was asked for and by what the data are. Where the source
has its own validation or test part, that is the split, untouched. Where it has not, the split is drawn from the train
part, class by class, by the content of the images (`trainers.data.split`).

Images go to disk as they are decoded and from there, in their order, to the file: whatever their number, memory holds
few of them. While it works, `prepare` needs disk for them twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from trainers.data import sources
from trainers.data.config import DataConfig
from trainers.data.split import Chosen, partition
from trainers.data.types import PARTS, AugmentPolicy, DecodedData, LocatedData, Part, Progress, ReadContext
from trainers.errors import DataError
from trainers.files import TensorFile, atomic_write, disk_errors

LAYOUT = 1
"""Of the file that `prepare` writes, and of the split in it; a change makes older files unknown."""


NAMED = 1000
"""Images left out that a file names; of more it gives the number alone."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a file of prepared images holds, its pixels apart.

    Args:
        name: of the data, for tables.
        class_names: a label is an index into it.
        image_size: (height, width) in pixels.
        in_chans: 1 grey, 3 RGB.
        counts: images of each part.
        mean, std: of each channel of the train split, pixels taken as 0..1.
        fingerprint: a hexadecimal digest of all the images, their labels and their split.
        default_augment: the augmentation policy that suits the source.
        skipped_count: images that were left out, for they are broken.
        skipped: a line on each of them (the first `NAMED`): its name and what is wrong with it.
    """

    name: str
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    in_chans: int
    counts: Mapping[Part, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    default_augment: AugmentPolicy
    skipped_count: int
    skipped: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def warning(self, shown: int = 3) -> str | None:
        """What a user has to know before trusting these data, in one line: how many images were left out, and which.

        Args:
            shown: images that are named at most.
        """
        if not self.skipped_count:
            return None
        total = self.skipped_count + sum(self.counts.values())
        named = "; ".join(self.skipped[:shown])
        more = f"; and {self.skipped_count - shown} more" if self.skipped_count > shown else ""
        return f"{self.skipped_count} of {total} images of {self.name} are broken and left out: {named}{more}"


def prepare(config: DataConfig, cache: Path, progress: Progress | None = None) -> Path:
    """Decode the images of `config` into one file in the folder `cache` and return it; at once if it is there already.

    Args:
        config: which images.
        cache: a folder; made if it is not there.
        progress: told how many images are decoded, and of how many.

    Raises:
        DataError: the data are missing, broken, or too few for the split; or the disk is full.
    """
    source = sources.get(config.source)
    found = source.locate(config)
    file = _file_of(config, found, cache)
    if _is_whole(file):
        return file
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        decoded = found.read(ReadContext(progress, cache))
        if config.download:  # what was found then was not yet all
            file = _file_of(config, source.locate(config), cache)
        with atomic_write(file) as temporary:
            _write(temporary, decoded, partition(decoded, config), source.augment)
    return file


def _file_of(config: DataConfig, found: LocatedData, cache: Path) -> Path:
    """The file in `cache` of the data `found` that `config` asks for; how they are fetched does not matter."""
    wanted = config.model_dump_json(exclude={"path", "download"})
    name = hashlib.sha256(f"{LAYOUT}\n{wanted}\n{found.identity}".encode("utf-8", "surrogateescape")).hexdigest()
    source = re.sub(r"[^\w.-]+", "-", config.source)[:64]
    return cache / f"{source}-{name[:16]}.safetensors"


def _write(file: Path, decoded: DecodedData, splits: Mapping[Part, Chosen], augment: AugmentPolicy) -> None:
    """Write the images of the `splits` and what is to be known of them, in one pass."""
    labels = {part: chosen.labels for part, chosen in splits.items()}
    shape = decoded.parts["train"].images.shape[1:]
    about: dict[str, Any] = {
        "name": decoded.name,
        "class_names": decoded.class_names,
        "default_augment": augment,
        "skipped_count": len(decoded.skipped),
        "skipped": decoded.skipped[:NAMED],
    }
    shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
    shapes |= {f"{part}.labels": (np.dtype(np.int64), (len(labels[part]),)) for part in PARTS}
    shapes |= {f"{part}.images": (np.dtype(np.uint8), (len(labels[part]), *shape)) for part in PARTS}
    digest = hashlib.sha256(json.dumps(list(decoded.class_names)).encode())
    with file.open("wb") as stream:
        tensors = TensorFile(stream, shapes, metadata_bytes=2 * len(json.dumps(about)))
        for part in PARTS:
            tensors.write(labels[part])
        moments = [_Moments() for _ in range(shape[0])]
        for part in PARTS:
            digest.update(f"{part} {(len(labels[part]), *shape)}".encode())
            for images in splits[part].pieces():
                tensors.write(images)
                digest.update(images.data)
                if part == "train":
                    for channel, moment in enumerate(moments):
                        moment.add(images[:, channel])
            digest.update(labels[part].tobytes())
        about |= {"mean": [m.mean for m in moments], "std": [m.std for m in moments]}
        about["fingerprint"] = digest.hexdigest()[:32]
        # One key, so that the order of the keys is the same for every reader.
        tensors.finish({"dataset": json.dumps(about)})


def describe(file: Path) -> DatasetInfo:
    """What the file that `prepare` wrote holds; reads its header alone.

    Raises:
        DataError: `file` is not there, or is not such a file.
    """
    try:
        with safe_open(file, framework="numpy") as content:
            about = json.loads(content.metadata()["dataset"])
            shapes = {part: content.get_slice(f"{part}.images").get_shape() for part in PARTS}
        _, in_chans, height, width = shapes["train"]
        return DatasetInfo(
            name=about["name"],
            class_names=tuple(about["class_names"]),
            image_size=(height, width),
            in_chans=in_chans,
            counts={part: shape[0] for part, shape in shapes.items()},
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
            fingerprint=about["fingerprint"],
            default_augment=about["default_augment"],
            skipped_count=about.get("skipped_count", 0),  # files of before it could be asked for have no such entry
            skipped=tuple(about.get("skipped", ())),
        )
    except FileNotFoundError as error:
        raise DataError(str(file), "no such file") from error
    except (SafetensorError, OSError, KeyError, AttributeError, ValueError, TypeError) as error:
        raise DataError(str(file), "is not a file of prepared images; remove it and prepare them again") from error


def _is_whole(file: Path) -> bool:
    """Whether `file` is there with all the bytes that its header speaks of."""
    try:
        with safe_open(file, framework="numpy") as content:
            return len(content.keys()) == 2 * len(PARTS)
    except (SafetensorError, OSError):
        return False


class _Moments:
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
        """One grey level at least, for it is divided by."""
        variance = float((self._counts * (_LEVELS - self.mean) ** 2).sum() / self._counts.sum())
        return max(variance**0.5, 1 / 255)


_LEVELS = np.arange(256) / 255
