"""Plain types that sources, listing, decoding and splitting share. No torch.

Images are uint8 `(N, C, H, W)`; labels are int64 `(N,)` and index the class names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from trainers.data.resizing import STUDY_RESIZING, Resizing

AugmentPolicy = Literal["none", "flip", "shift", "standard", "strong"]
"""The name of an augmentation policy; see `trainers.augment`."""

Part = Literal["train", "val", "test"]
"""A part of a data set. A source has its own parts; a split has all three."""

PARTS: tuple[Part, ...] = ("train", "val", "test")

OnError = Literal["fail", "skip"]
"""What a broken image means: an error, or that it is left out and reported."""

Progress = Callable[[int, int], None]
"""Called with the number of images done and the total number."""

READING_VERSION = 2
"""Of the rules by which images are listed and decoded, which a study keeps. 1: those of versions 0.1 and 0.2."""

MAX_PASSED_OVER_NAMES = 20
"""Files passed over that are named for each part and reason; of more there is the number alone."""

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 4, 1024
"""Pixels a side that prepared images may have."""

SourceOption = Literal["splits", "input_key", "target_key", "download", "group_by", "split", "classes"]
"""The fields of a `SourceRequest` that only some sources know."""


class FixedSplit(Protocol):
    """A split that the user fixes (`trainers.data.fixed_split`)."""

    @property
    def file(self) -> Path: ...


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
    @property
    def group_by(self) -> str | None: ...
    @property
    def split(self) -> FixedSplit | None: ...
    @property
    def classes(self) -> Sequence[str] | None: ...


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
    @property
    def group_by(self) -> str | None: ...


@dataclass(frozen=True)
class ReadContext:
    """What a source needs beside the request when it decodes images.

    Args:
        progress: called with the number of images decoded and the total number.
        scratch: a folder with room for all of them; None: the system's folder for temporary files.
        reading_version: of the rules by which images are decoded, see `READING_VERSION`.
        resizing: how images become squares.
    """

    progress: Progress | None = None
    scratch: Path | None = None
    reading_version: int = READING_VERSION
    resizing: Resizing = STUDY_RESIZING


@dataclass(frozen=True)
class LabeledImages:
    """Decoded images of a part.

    Args:
        images: uint8 `(N, C, H, W)`.
        labels: int64 `(N,)`.
        names: the name of each image, as in errors; empty: the images have none.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class PassedOver:
    """Files and folders that are not read, all for one reason. A folder counts once, and its name ends in a slash.

    Args:
        part: the part whose folder holds them; None: they are beside the folders of the parts.
        reason: why they are not read.
        count: how many.
        names: the paths of the first of them, relative to the folder of the data; at most `MAX_PASSED_OVER_NAMES`.
    """

    part: Part | None
    reason: str
    count: int
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for `from_dict`."""
        return {"part": self.part, "reason": self.reason, "count": self.count, "names": list(self.names)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PassedOver:
        """The value that `to_dict` wrote."""
        return cls(values["part"], values["reason"], values["count"], tuple(values["names"]))


@dataclass(frozen=True)
class ImageSummary:
    """What the images of a part are in their files, before they are resized and converted.

    Args:
        count: number of images.
        width, height: the least, the median and the greatest, in pixels, of upright images.
        modes: number of images of each of Pillow's modes, such as "L", "RGB", "RGBA", "P", "I;16", "CMYK"; colour of
            16 bits is "RGB;16".
        formats: number of images of each of Pillow's file formats, such as "JPEG"; empty if the source has no files.
        transparent: number of images with a transparent pixel.
        multi_frame: number of animations and files of several pages, of which the first is read.
        uniform: number of images whose pixels are all equal.
        value_range: the values of pixels of more than 8 bits that become 0 and 255: the least and the greatest of all parts,
            but for outliers (`trainers.data.deep_colour`). Integers and floats have a range each: it is that of the more
            frequent in the part, of the integers if there are as many. None: there are no such pixels.
    """

    count: int
    width: tuple[int, int, int]
    height: tuple[int, int, int]
    modes: Mapping[str, int]
    formats: Mapping[str, int]
    transparent: int = 0
    multi_frame: int = 0
    uniform: int = 0
    value_range: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for `from_dict`."""
        return {
            "count": self.count,
            "width": list(self.width),
            "height": list(self.height),
            "modes": dict(self.modes),
            "formats": dict(self.formats),
            "transparent": self.transparent,
            "multi_frame": self.multi_frame,
            "uniform": self.uniform,
            "value_range": None if self.value_range is None else list(self.value_range),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageSummary:
        """The value that `to_dict` wrote."""
        value_range = values["value_range"]
        return cls(
            count=values["count"],
            width=_three(values["width"]),
            height=_three(values["height"]),
            modes=dict(values["modes"]),
            formats=dict(values["formats"]),
            transparent=values["transparent"],
            multi_frame=values["multi_frame"],
            uniform=values["uniform"],
            value_range=None if value_range is None else (value_range[0], value_range[1]),
        )


def _three(values: Sequence[int]) -> tuple[int, int, int]:
    least, median, greatest = values
    return least, median, greatest


@dataclass(frozen=True)
class DecodedData:
    """All images of a source.

    Args:
        name: the name of the data in tables.
        class_names: the name of each class; a label is an index into it.
        parts: always "train"; "val" and "test" where the source has its own.
        skipped: one line for each broken image that was left out: its name and what is wrong with it.
        passed_over: the files and folders that were not read, by part and reason.
        summaries: what the images of each part are; empty if the source does not know.
        root: the folder that names of images begin with, if they are paths; empty: they are relative paths; None: they are
            no paths.
    """

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[Part, LabeledImages]
    skipped: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    summaries: Mapping[Part, ImageSummary] = field(default_factory=dict)
    root: str | None = None

    def name_of(self, part: Part, row: int) -> str:
        """The name of an image: its path relative to the root with slashes, or else "train image 17", counted from 0."""
        names = self.parts[part].names
        if not len(names):
            return f"{part} image {row}"
        return names[row] if not self.root else relative_name(names[row], self.root)


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


def relative_name(path: str, root: str) -> str:
    """`path` relative to the folder `root`, with slashes."""
    return path.removeprefix(root).lstrip(os.sep).replace(os.sep, "/")
