"""What the commands that show images to a model share: the decoded images of a study, and which output means which class."""

from __future__ import annotations

from nas.errors import StudyError, UsageError
from nas.formatting import count
from nas.models.front_test_accuracy import load_images
from nas.models.loaded_model import LoadedModel
from nas.study.content import StudyContent
from trainers.data.dataset import Dataset, Split
from trainers.data.types import PARTS, Part

MAX_NAMES = 5
"""Of the classes that an error names."""


def study_dataset(study: StudyContent) -> Dataset:
    """The decoded images of `study`, of which only what is used is read.

    Raises:
        UsageError: they are missing or damaged.
    """
    try:
        return load_images(study)
    except StudyError as error:
        raise UsageError(str(error)) from error


def split_of(dataset: Dataset, part: Part) -> Split:
    """The images of a part of `dataset`."""
    return {"train": dataset.train, "val": dataset.val, "test": dataset.test}[part]


def parts_of(dataset: Dataset) -> dict[Part, Split]:
    """The images of each part of `dataset`."""
    return {part: split_of(dataset, part) for part in PARTS}


def class_outputs(place: str, classes: tuple[str, ...], model: LoadedModel) -> tuple[int, ...]:
    """The output of the model for each class of the data.

    Args:
        place: what names the data, for errors.
        classes: the names of the classes of the data.
        model: the model; one without names of classes has those of the data.

    Raises:
        UsageError: the model does not know a class, or has another number of them.
    """
    if model.class_names is None:
        if len(classes) != model.num_classes:
            rule = f"must be the {model.num_classes} that {model.name} tells apart, which has no names for them"
            raise UsageError(f"{place}: the classes {rule}, found {len(classes)}")
        return tuple(range(len(classes)))
    index = {name: output for output, name in enumerate(model.class_names)}
    unknown = [name for name in classes if name not in index]
    if unknown:
        known = ", ".join(model.class_names[:MAX_NAMES]) + (", ..." if model.num_classes > MAX_NAMES else "")
        found = ", ".join(map(repr, unknown[:MAX_NAMES])) + (", ..." if len(unknown) > MAX_NAMES else "")
        rule = f"must be among the {model.num_classes} that {model.name} tells apart ({known})"
        raise UsageError(f"{place}: the classes {rule}, found {count(len(unknown), 'other')}: {found}")
    return tuple(index[name] for name in classes)
