"""Images as tensors, decoded once, in a fixed train, validation and test split.

`prepare` decodes a source into one safetensors file, named by what was asked for and by what the data are; each worker
`load`s that file in milliseconds. Images stay uint8 `(N, C, H, W)`, on the device if there is one; they become floats
batch by batch. The search looks at the validation split alone; the test split is for the end.

Where the source has its own validation or test part, that is the split, untouched. Where it has not, the split is drawn
from the train part, class by class, by the content of the images (`trainers.split`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainers import sources
from trainers.checkpoint import write_safetensors
from trainers.config import DataConfig, Policy
from trainers.errors import DataError
from trainers.sources import Pictures, Progress
from trainers.sources.base import Part
from trainers.split import PARTS, partition

LAYOUT = 1
"""Of the file that `prepare` writes, and of the split in it; a change makes older files unknown."""


@dataclass(frozen=True)
class Split:
    """Images uint8 `(N, C, H, W)` and their labels int64 `(N,)`, in the order of the images' digests."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Everything that training needs to know of its data.

    Args:
        name: of the data, for tables.
        class_names: a label is an index into it.
        train, val, test: the splits.
        mean, std: of each channel of the train split, pixels taken as 0..1.
        fingerprint: a hexadecimal digest of all the images, their labels and their split.
        default_augment: the augmentation policy that suits the source.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    default_augment: Policy

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        height, width = self.train.images.shape[-2:]
        return int(height), int(width)

    @property
    def in_chans(self) -> int:
        """Channels of an image: 1 grey, 3 RGB."""
        return int(self.train.images.shape[1])

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.train.images.device

    def to(self, device: torch.device | str) -> Dataset:
        """The same data on `device`."""
        return replace(self, train=self.train.to(device), val=self.val.to(device), test=self.test.to(device))


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
    tensors = {}
    for part, pictures in splits.items():
        tensors[f"{part}.images"] = torch.from_numpy(pictures.images)
        tensors[f"{part}.labels"] = torch.from_numpy(pictures.labels)
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
    write_safetensors(file, tensors, {"dataset": json.dumps(about)})
    return file


def load(file: Path, device: torch.device | str = "cpu") -> Dataset:
    """The data that `prepare` wrote into `file`.

    Raises:
        DataError: `file` is not there, or is not such a file.
    """
    try:
        with safe_open(file, framework="pt", device=str(device)) as content:
            about = json.loads(content.metadata()["dataset"])
            splits = {p: Split(content.get_tensor(f"{p}.images"), content.get_tensor(f"{p}.labels")) for p in PARTS}
        return Dataset(
            name=about["name"],
            class_names=tuple(about["class_names"]),
            train=splits["train"],
            val=splits["val"],
            test=splits["test"],
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
        with safe_open(file, framework="pt") as content:
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
