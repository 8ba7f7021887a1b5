"""Prepared images as tensors on a device.

`trainers.prepared.prepare` decodes a source once, into one safetensors file; each worker `load`s that in milliseconds.
Images stay uint8 `(N, C, H, W)`, on the device if there is one; they become floats batch by batch. The search looks at
the validation split alone; the test split is for the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainers.config import Policy
from trainers.errors import DataError
from trainers.prepared import PARTS, describe


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


def load(file: Path, device: torch.device | str = "cpu") -> Dataset:
    """The data that `prepare` wrote into `file`.

    Raises:
        DataError: `file` is not there, or is not such a file.
    """
    about = describe(file)
    try:
        with safe_open(file, framework="pt", device=str(device)) as content:
            splits = {p: Split(content.get_tensor(f"{p}.images"), content.get_tensor(f"{p}.labels")) for p in PARTS}
    except (SafetensorError, OSError) as error:
        raise DataError(str(file), "cannot be read; remove it and prepare the images again") from error
    return Dataset(
        name=about.name,
        class_names=about.class_names,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        mean=about.mean,
        std=about.std,
        fingerprint=about.fingerprint,
        default_augment=about.default_augment,
    )
