"""Images decoded once into one file, in a fixed train, validation and test split. No torch.

`prepare` decodes a source into a safetensors file, named by what was asked for and by what the data are. Where the source
has its own validation or test part, that is the split, untouched. Where it has not, the split is drawn from the train
part, class by class, by the content of the images (`trainers.split`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from trainers import sources
from trainers.config import DataConfig, Policy
from trainers.errors import DataError
from trainers.files import replacing
from trainers.sources import Pictures, Progress
from trainers.sources.base import Part
from trainers.split import partition

LAYOUT = 1
"""Of the file that `prepare` writes, and of the split in it; a change makes older files unknown."""

PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Description:
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
    """

    name: str
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    in_chans: int
    counts: Mapping[Part, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    default_augment: Policy

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def prepare(config: DataConfig, cache: Path, progress: Progress | None = None) -> Path:
    """Decode the images of `config` into one file in the folder `cache` and return it; at once if it is there already.

    Args:
        config: which images.
        cache: a folder; made if it is not there.
        progress: told how many images are decoded, and of how many.

    Raises:
        DataError: the data are missing, broken, or too few for the split.
    """
    source = sources.get(config.source)
    found = source.find(config)
    wanted = config.model_dump_json(exclude={"path"})
    name = hashlib.sha256(f"{LAYOUT}\n{wanted}\n{found.identity}".encode("utf-8", "surrogateescape")).hexdigest()
    file = cache / f"{config.source}-{name[:16]}.safetensors"
    if _is_whole(file):
        return file
    decoded = found.read(progress)
    splits = partition(decoded, config)
    mean, std = _moments(splits["train"].images)
    arrays: dict[str, NDArray[Any]] = {}
    for part, pictures in splits.items():
        arrays[f"{part}.images"] = np.ascontiguousarray(pictures.images)
        arrays[f"{part}.labels"] = pictures.labels
    about = {
        "name": decoded.name,
        "class_names": decoded.class_names,
        "mean": mean,
        "std": std,
        "fingerprint": _fingerprint(decoded.class_names, splits),
        "default_augment": source.augment,
    }
    cache.mkdir(parents=True, exist_ok=True)
    # One key, for safetensors writes several in an order that is another one each time.
    with replacing(file) as temporary:
        save_file(arrays, temporary, metadata={"dataset": json.dumps(about)})
    return file


def describe(file: Path) -> Description:
    """What the file that `prepare` wrote holds; reads its header alone.

    Raises:
        DataError: `file` is not there, or is not such a file.
    """
    try:
        with safe_open(file, framework="numpy") as content:
            about = json.loads(content.metadata()["dataset"])
            shapes = {part: content.get_slice(f"{part}.images").get_shape() for part in PARTS}
        _, in_chans, height, width = shapes["train"]
        return Description(
            name=about["name"],
            class_names=tuple(about["class_names"]),
            image_size=(height, width),
            in_chans=in_chans,
            counts={part: shape[0] for part, shape in shapes.items()},
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
            fingerprint=about["fingerprint"],
            default_augment=about["default_augment"],
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


def _moments(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, pixels taken as 0..1, from exact counts of the 256 values.

    A channel of one value gets a deviation of one grey level, for it is divided by.
    """
    means, deviations = [], []
    values = np.arange(256) / 255
    for channel in range(images.shape[1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), 1024):  # `bincount` takes 8 bytes a pixel
            counts += np.bincount(images[start : start + 1024, channel].ravel(), minlength=256)
        mean = float((counts * values).sum() / counts.sum())
        variance = float((counts * (values - mean) ** 2).sum() / counts.sum())
        means.append(mean)
        deviations.append(max(variance**0.5, 1 / 255))
    return means, deviations


def _fingerprint(class_names: Sequence[str], splits: Mapping[Part, Pictures]) -> str:
    digest = hashlib.sha256(json.dumps(list(class_names)).encode())
    for part in PARTS:
        digest.update(f"{part} {splits[part].images.shape}".encode())
        digest.update(np.ascontiguousarray(splits[part].images).data)
        digest.update(splits[part].labels.tobytes())
    return digest.hexdigest()[:32]
