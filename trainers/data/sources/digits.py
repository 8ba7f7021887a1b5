"""Handwritten digits: scikit-learn's 1,797 real 8x8 grey images, part of its installation; the default data.

From E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998: each pixel counts the ink in a
4x4 block, 0..16, and becomes `round(255 * ink / 16)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from trainers.data.pixels import resize_all
from trainers.data.sources.base import Source, register
from trainers.data.summary import summarize_arrays
from trainers.data.types import DecodedData, LabeledImages, LocatedData, ReadContext, SourceRequest
from trainers.errors import DataError


@dataclass(frozen=True)
class Digits(Source):
    """The digits of scikit-learn."""

    def locate(self, request: SourceRequest) -> LocatedData:
        return LocatedData(f"scikit-learn {version('scikit-learn')}", partial(_read, request.image_size))


def _read(image_size: int | None, context: ReadContext) -> DecodedData:
    table = np.loadtxt(_digits_file(), delimiter=",", dtype=np.int64)  # 64 pixels of 0..16, then the digit
    ink, labels = table[:, :-1], table[:, -1]
    images = np.rint(ink * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    if image_size is not None:
        images = resize_all(images, image_size, context.resizing)
    if context.progress is not None:
        context.progress(len(images), len(images))
    train = LabeledImages(images, labels.copy())
    class_names = tuple(str(digit) for digit in range(10))
    return DecodedData(
        "digits", class_names, {"train": train}, summaries=summarize_arrays({"train": train}, (8, 8), "L")
    )


def _digits_file() -> Path:
    """Scikit-learn's file of digits. It is read directly, because an import of scikit-learn takes more than a second."""
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("digits", "come with scikit-learn, which is not installed")
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


# A digit is neither mirrored nor cut, and of eight pixels a shift by one is too much: in trainings of 20 epochs it cost a
# small ConvMixer 1.5 points of accuracy and a small ViT 25.
register(Digits(name="digits", path="none", augment="none"))
