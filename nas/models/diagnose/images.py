"""The images of a diagnosis: the decoded images of a study, or any that `nas data` takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from nas.errors import StudyError, UsageError
from nas.formatting import count
from nas.models.diagnose.subject import ImageSample
from nas.study.content import StudyContent
from nas.study.data_argument import describe_data
from nas.study.storage import study_exists
from trainers.data.dataset import load
from trainers.data.types import Progress
from trainers.errors import DataError

SplitName = Literal["test", "val"]

DEFAULT_LIMIT = 500
"""Images of up to 32 x 32 pixels; of larger ones fewer, so that the pixels are as many."""
DEFAULT_PIXELS = DEFAULT_LIMIT * 32 * 32
MIN_DEFAULT_LIMIT = 64


def default_limit(size: tuple[int, int]) -> int:
    """The number of images of (height, width) to diagnose on if nothing else is asked for."""
    return max(MIN_DEFAULT_LIMIT, min(DEFAULT_LIMIT, DEFAULT_PIXELS // (size[0] * size[1])))


def study_sample(study: StudyContent, split: SplitName, limit: int | None, device: str) -> ImageSample:
    """At most `limit` images of the study's decoded images, each class in proportion.

    Raises:
        StudyError: they are missing or damaged.
    """
    return _sample(study.images(), split, limit, device)


def sample_of(
    where: str, split: SplitName, limit: int | None, size: tuple[int, int], device: str, progress: Progress | None
) -> ImageSample:
    """At most `limit` images of the data that `where` names, as `nas data` takes it, at `size`.

    Raises:
        ConfigError: the data are missing, too few or break a rule.
        UsageError: `where` names nothing, or the models' images are not square.
        StudyError: the decoded images of a study are missing.
    """
    overrides: list[str] = []
    if not study_exists(Path(where)):
        if size[0] != size[1]:
            raise UsageError(f"--data: images are decoded to squares, the models take {size[0]}x{size[1]} pixels")
        overrides = [f"data.image_size={size[0]}"]
    with tempfile.TemporaryDirectory(prefix="nas-diagnose-") as scratch:
        _, file = describe_data(where, overrides, Path(scratch), progress)
        if file is None:
            raise StudyError(f"{where}: the decoded images of this study are missing")
        return _sample(file, split, limit, device)


def _sample(file: Path, split: SplitName, limit: int | None, device: str) -> ImageSample:
    try:
        dataset = load(file)  # a mapped file, of which only the sample is copied
    except DataError as error:
        raise StudyError(str(error)) from None
    chosen = dataset.test if split == "test" else dataset.val
    wanted = default_limit(dataset.image_size) if limit is None else limit
    word = "test" if split == "test" else "validation"
    number = min(wanted, len(chosen))
    text = f"{count(number, f'{word} image')} of {dataset.name}, of {len(chosen):,}"
    sample = ImageSample.of_split(chosen, dataset.class_names, wanted, text)
    return ImageSample(sample.pixels.to(device), sample.labels.to(device), sample.class_names, sample.description)
