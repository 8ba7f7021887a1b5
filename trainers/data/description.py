"""What a file of prepared images holds, read from its header and labels. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from trainers.data.duplicates import Duplicates
from trainers.data.types import PARTS, READING_VERSION, AugmentPolicy, ImageSummary, Part, PassedOver
from trainers.data.verification import DAMAGED
from trainers.disk import error_kind
from trainers.errors import DataError
from trainers.input_files import IrregularFileError, check_input
from trainers.json_text import parse_json


@dataclass(frozen=True)
class DatasetInfo:
    """What a file of prepared images holds, apart from its pixels.

    Args:
        name: the name of the data in tables.
        class_names: a label is an index into it.
        image_size: (height, width) in pixels.
        in_chans: 1 grey, 3 RGB.
        counts: number of images of each split.
        class_counts: number of images of each class in each split, in the order of `class_names`.
        mean, std: of each channel of the train split, pixels taken as 0..1.
        fingerprint: a hexadecimal digest of all the images, their labels and their split.
        default_augment: the augmentation policy that suits the source.
        skipped_count: number of broken images that were left out.
        skipped: one line for each of them (of many only the first): its name and what is wrong with it.
        passed_over: the files and folders of the source that were not read, by part and reason.
        summaries: what the images of each part of the source are; empty if the source, or an earlier version that wrote
            the file, does not know.
        duplicates: equal images within the splits, across them, and with different labels; None: the file is of a version
            that did not look for them.
        reading_version: of the rules by which the source was read, see `READING_VERSION`.
    """

    name: str
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    in_chans: int
    counts: Mapping[Part, int]
    class_counts: Mapping[Part, tuple[int, ...]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    default_augment: AugmentPolicy
    skipped_count: int
    skipped: tuple[str, ...]
    passed_over: tuple[PassedOver, ...] = ()
    summaries: Mapping[Part, ImageSummary] = field(default_factory=dict)
    duplicates: Duplicates | None = None
    reading_version: int = READING_VERSION

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def warning(self, shown: int = 3) -> str | None:
        """What a user has to know before trusting these data: how many images were left out, and which. None: nothing.

        Args:
            shown: the most images that are named.
        """
        if not self.skipped_count:
            return None
        total = self.skipped_count + sum(self.counts.values())
        names = "; ".join(self.skipped[:shown])
        more = f"; and {self.skipped_count - shown} more" if self.skipped_count > shown else ""
        return f"{self.skipped_count} of {total} images of {self.name} are broken and left out: {names}{more}"


def describe(file: Path) -> DatasetInfo:
    """What the file that `prepare` wrote holds; reads its header and the labels alone.

    Raises:
        DiskError: the disk or the machine fails.
        DataError: `file` does not exist, cannot be read, or is not such a file.
    """
    try:
        check_input(file)
        with safe_open(file, framework="numpy") as content:
            metadata = parse_json(content.metadata()["dataset"])
            shapes = {part: content.get_slice(f"{part}.images").get_shape() for part in PARTS}
            labels = {part: content.get_tensor(f"{part}.labels") for part in PARTS}
        _, in_chans, height, width = shapes["train"]
        _check_description(metadata, in_chans, labels)
        if any(
            len(part) and not 0 <= part.min() <= part.max() < len(metadata["class_names"]) for part in labels.values()
        ):
            raise DataError(str(file), DAMAGED)
        return DatasetInfo(
            name=metadata["name"],
            class_names=tuple(metadata["class_names"]),
            image_size=(height, width),
            in_chans=in_chans,
            counts={part: shape[0] for part, shape in shapes.items()},
            class_counts={part: _count_classes(labels[part], len(metadata["class_names"])) for part in PARTS},
            mean=tuple(metadata["mean"]),
            std=tuple(metadata["std"]),
            fingerprint=metadata["fingerprint"],
            default_augment=metadata["default_augment"],
            skipped_count=metadata.get("skipped_count", 0),  # the first files had no such key
            skipped=tuple(metadata.get("skipped", ())),
            passed_over=tuple(map(PassedOver.from_dict, metadata.get("passed_over", ()))),
            reading_version=metadata.get("reading_version", 1),
            summaries={part: ImageSummary.from_dict(values) for part, values in metadata.get("summaries", {}).items()},
            duplicates=Duplicates.from_dict(metadata["duplicates"]) if "duplicates" in metadata else None,
        )
    except FileNotFoundError as error:
        raise DataError(str(file), "no such file") from error
    except DataError:
        raise
    except (
        IrregularFileError,
        SafetensorError,
        LookupError,
        AttributeError,
        ValueError,
        TypeError,
        OverflowError,
    ) as e:
        raise DataError(str(file), "is not a file of prepared images; remove it and prepare them again") from e
    except OSError as error:
        raise error_kind(error)(str(file), f"cannot be read ({error.strerror or error})") from error


def _check_description(metadata: Mapping[str, Any], in_chans: int, labels: Mapping[Part, NDArray[np.int64]]) -> None:
    """Raise `ValueError` unless names, statistics and labels are of the types that `prepare` writes."""
    names = [metadata["name"], metadata["fingerprint"], *metadata["class_names"]]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("the name, the fingerprint and the names of classes must be texts")
    for key in ("mean", "std"):
        if len(metadata[key]) != in_chans or not all(map(math.isfinite, metadata[key])):
            raise ValueError(f"{key} must have {in_chans} finite numbers")
    for values in labels.values():
        if values.dtype != np.int64 or values.ndim != 1:
            raise ValueError("labels must be integers, one for each image")


def _count_classes(labels: NDArray[np.int64], classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=classes).tolist())
