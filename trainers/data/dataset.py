"""Prepared images as tensors on a device.

`trainers.data.prepared.prepare` decodes a source once, into one safetensors file; each worker loads it in milliseconds.
Images stay uint8 `(N, C, H, W)`; they become floats batch by batch. On a CPU they are the file itself, mapped into memory:
the workers of a machine share its pages, and images that do not fit into memory are read when they are needed. For a GPU
they are copied once, if they fit; otherwise they stay in the file, and `Split.pick` copies a batch at a time. Labels are
always on the device. The search uses the validation split alone; the test split is for the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainers.data.description import describe
from trainers.data.types import PARTS, AugmentPolicy
from trainers.data.verification import verify
from trainers.errors import DataError


@dataclass(frozen=True)
class Split:
    """Images uint8 `(N, C, H, W)` and their labels int64 `(N,)`, in the order of the images' digests."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Images uint8 `(B, C, H, W)` and labels `(B,)` of `rows`, on the device of the labels.

        Args:
            rows: int64 `(B,)` on the device of the images, or a slice.
        """
        device, images_device = self.labels.device, self.images.device
        if isinstance(rows, slice):
            images, labels = self.images[rows], self.labels[rows]
        else:  # faster than an index
            images = self.images.index_select(0, rows)
            labels = self.labels.index_select(0, rows.to(device, non_blocking=True))
        if images_device != device:
            # The copy from page-locked memory overlaps with computations of the device.
            images = (images.pin_memory() if device.type == "cuda" else images).to(device, non_blocking=True)
        return images, labels

    def to(self, device: torch.device | str) -> Split:
        """The same split with images and labels on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Data to train on, with all that a training needs to know about them.

    Args:
        name: the name of the data in tables.
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
    default_augment: AugmentPolicy

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
    def class_counts(self) -> tuple[int, ...]:
        """Images of each class in the train split, in the order of `class_names`."""
        return tuple(torch.bincount(self.train.labels, minlength=self.num_classes).tolist())

    @property
    def device(self) -> torch.device:
        """Where batches and labels are; `train.images` may be elsewhere, see `Split.pick`."""
        return self.train.labels.device

    def to(self, device: torch.device | str) -> Dataset:
        """The same data with images and labels on `device`."""
        return replace(self, train=self.train.to(device), val=self.val.to(device), test=self.test.to(device))


def load(file: Path, device: torch.device | str = "cpu", share: float = 0.5) -> Dataset:
    """Load the data that `prepare` wrote into `file`.

    Args:
        file: the file.
        device: where batches are needed.
        share: of a GPU's memory that the images may take; they never take more than half of what is free, because networks
            need the rest. Images that do not fit stay in the file.

    Raises:
        DataError: `file` does not exist, is not such a file, or is damaged.
    """
    info = describe(file)
    verify(file)
    device = torch.device(device)
    storage = images_device(file.stat().st_size, device, share)
    try:
        with safe_open(file, framework="pt", device=str(storage)) as content:
            splits = {
                part: Split(content.get_tensor(f"{part}.images"), content.get_tensor(f"{part}.labels").to(device))
                for part in PARTS
            }
    except (SafetensorError, OSError) as error:
        raise DataError(str(file), "cannot be read; remove it and prepare the images again") from error
    return Dataset(
        name=info.name,
        class_names=info.class_names,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        mean=info.mean,
        std=info.std,
        fingerprint=info.fingerprint,
        default_augment=info.default_augment,
    )


def images_device(images_bytes: int, device: torch.device, share: float) -> torch.device:
    """Where `images_bytes` of images are kept: on `device`, or on the host if they are too many for it."""
    if device.type != "cuda":
        return device
    free, total = torch.cuda.mem_get_info(device)
    return device if images_bytes <= min(share * total, free / 2) else torch.device("cpu")
