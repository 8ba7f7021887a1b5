"""The images of a diagnosis: the decoded images of a study, or any that `nas data` takes.

Where data have no validation or test part, it is drawn as a search draws it. `nas validate` takes such data as a whole instead.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from nas.errors import UsageError
from nas.formatting import count
from nas.models.diagnose.subject import ImageSample
from nas.models.images import split_of, study_dataset
from nas.study.content import StudyContent, StudySnapshot
from nas.study.data_argument import describe_data
from nas.study.database.storage import study_exists
from trainers.data.dataset import Dataset, load
from trainers.data.types import Part, Progress
from trainers.errors import DataError

DEFAULT_LIMIT = 500
"""Images of up to 32 x 32 pixels; of larger ones fewer, so that the pixels are as many."""
DEFAULT_PIXELS = DEFAULT_LIMIT * 32 * 32
MIN_DEFAULT_LIMIT = 64
WORDS: dict[Part, str] = {"train": "training", "val": "validation", "test": "test"}


def default_limit(size: tuple[int, int]) -> int:
    """The number of images of (height, width) to diagnose on if nothing else is asked for."""
    return max(MIN_DEFAULT_LIMIT, min(DEFAULT_LIMIT, DEFAULT_PIXELS // (size[0] * size[1])))


def study_sample(study: StudyContent, part: Part, limit: int | None, device: str) -> ImageSample:
    """At most `limit` images of a part of the study's decoded images, each class in proportion.

    Raises:
        UsageError: they are missing or damaged.
    """
    return _sample(study_dataset(study), part, limit, device)


def sample_of(
    data: str, part: Part, limit: int | None, size: tuple[int, int], device: str, progress: Progress | None
) -> ImageSample:
    """At most `limit` images of a part of the data that `data` names, as `nas data` takes it, at `size`.

    Raises:
        ConfigError: the data are missing, too few or break a rule.
        UsageError: `data` names nothing, the decoded images of a study are missing, or the models' images are not square.
    """
    if study_exists(Path(data)):
        return study_sample(StudySnapshot.of(Path(data)), part, limit, device)
    if size[0] != size[1]:
        raise UsageError(f"--data: images are decoded to squares, the models take {size[0]}x{size[1]} pixels")
    with tempfile.TemporaryDirectory(prefix="nas-diagnose-") as scratch:
        _, file = describe_data(data, [f"data.image_size={size[0]}"], Path(scratch), progress)
        assert file is not None  # only a study may have lost its images
        try:
            dataset = load(file)  # a mapped file, of which only the sample is copied
        except DataError as error:
            raise UsageError(str(error)) from None
        return _sample(dataset, part, limit, device)


def _sample(dataset: Dataset, part: Part, limit: int | None, device: str) -> ImageSample:
    chosen = split_of(dataset, part)
    most = default_limit(dataset.image_size) if limit is None else limit
    number = min(most, len(chosen))
    text = f"{count(number, f'{WORDS[part]} image')} of {dataset.name}, of {len(chosen):,}"
    sample = ImageSample.of_split(chosen, dataset.class_names, most, text, part)
    return sample.to(device)
