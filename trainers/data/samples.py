"""A few prepared images of each class, for people to look at. No torch; reads only those images from the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from trainers.data.description import describe
from trainers.data.types import Part
from trainers.errors import DataError


@dataclass(frozen=True)
class ClassSample:
    """Some images of a class.

    Args:
        name: of the class.
        count: number of its images in the split.
        images: some of them, uint8 `(n, C, H, W)`.
    """

    name: str
    count: int
    images: NDArray[np.uint8]


def sample_classes(file: Path, per_class: int, max_classes: int, part: Part = "train") -> list[ClassSample]:
    """The first different images of each class in a split. They are in the order of their digests, so this is a random choice.

    Args:
        file: the file that `prepare` wrote.
        per_class: the most images of a class.
        max_classes: the most classes; the first ones are taken.
        part: the split.

    Raises:
        DataError: `file` does not exist, or is not such a file.
    """
    names = describe(file).class_names[:max_classes]
    try:
        with safe_open(file, framework="numpy") as content:
            labels = content.get_tensor(f"{part}.labels")
            images = content.get_slice(f"{part}.images")
            samples = []
            for label, name in enumerate(names):
                rows = np.flatnonzero(labels == label)
                chosen = [np.empty((0, *images.get_shape()[1:]), np.uint8)]
                for row in rows.tolist():
                    if len(chosen) > per_class:
                        break
                    image = images[row : row + 1]
                    if not np.array_equal(image, chosen[-1]):  # copies follow one another
                        chosen.append(image)
                samples.append(ClassSample(name, len(rows), np.concatenate(chosen)))
            return samples
    except (SafetensorError, OSError) as error:
        raise DataError(str(file), "cannot be read; remove it and prepare the images again") from error
