"""Plain types that sources, listing, decoding and splitting share. No torch.

Images are uint8 `(N, C, H, W)`; labels are int64 `(N,)` and index the class names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

AugmentPolicy = Literal["none", "flip", "shift", "standard", "strong"]
"""The name of an augmentation policy; see `trainers.augment`."""

Part = Literal["train", "val", "test"]
"""A part of a data set. A source has its own parts; a split has all three."""

PARTS: tuple[Part, ...] = ("train", "val", "test")

OnError = Literal["fail", "skip"]
"""What a broken image means: an error, or that it is left out and reported."""

Progress = Callable[[int, int], None]
"""Called with the number of images done and the total number."""

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images uint8 `(N, C, H, W)` and their labels int64 `(N,)`."""

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 4, 1024
"""Pixels a side that prepared images may have."""

SourceOption = Literal["splits", "input_key", "target_key", "download"]
"""The fields of a `SourceRequest` that only some sources know."""


class SourceRequest(Protocol):
    """What a source is asked for: those fields of `trainers.data.config.DataConfig` that concern a source.

    Sources depend on this protocol and not on `DataConfig`, which itself depends on the registered sources.
    """

    @property
    def source(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def splits(self) -> Mapping[Part, str] | None: ...
    @property
    def input_key(self) -> str | None: ...
    @property
    def target_key(self) -> str | None: ...
    @property
    def download(self) -> bool: ...
    @property
    def image_size(self) -> int | None: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def on_error(self) -> OnError: ...


class SplitRequest(Protocol):
    """What a split is made by: those fields of `trainers.data.config.DataConfig` that concern the split."""

    @property
    def val_fraction(self) -> float: ...
    @property
    def test_fraction(self) -> float: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class ReadContext:
    """What a source needs beside the request when it decodes images.

    Args:
        progress: called with the number of images decoded and the total number.
        scratch: a folder with room for all of them; None: the system's folder for temporary files.
    """

    progress: Progress | None = None
    scratch: Path | None = None


@dataclass(frozen=True)
class LabeledImages:
    """Decoded images uint8 `(N, C, H, W)` and their labels int64 `(N,)`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DecodedData:
    """All images of a source.

    Args:
        name: the name of the data in tables.
        class_names: the name of each class; a label is an index into it.
        parts: always "train"; "val" and "test" where the source has its own.
        skipped: one line for each broken image that was left out: its name and what is wrong with it.
    """

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[Part, LabeledImages]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class LocatedData:
    """Data that exist and are not decoded yet.

    Args:
        identity: a text that changes whenever the data do.
        read: decodes all images, or a stratified `limit` of them where leaving some out saves work; raises `DataError`
            if an image or a file is broken.
        count: number of images that `read` decodes; None: not known.
    """

    identity: str
    read: Callable[[ReadContext], DecodedData]
    count: int | None = None
