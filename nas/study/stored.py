"""A study on disk, opened once: its Optuna study, its attributes as typed values, and the files in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from nas import objectives
from nas.errors import ConfigError, UsageError
from nas.objectives import Objective
from nas.study.config import StudyConfig
from nas.study.images import find_images
from nas.study.layout import CONFIG, DATA, trial_folder
from nas.study.storage import create_study, open_study
from nas.study.trials import is_trained
from search_space import Architecture, SearchSpace
from trainers.data.prepared import DatasetInfo


@dataclass(frozen=True)
class StoredStudy:
    """A study in a folder.

    Args:
        folder: the folder of the study.
        optuna: the Optuna study.
    """

    folder: Path
    optuna: optuna.Study

    @classmethod
    def open(cls, folder: Path) -> StoredStudy:
        """Open the study in `folder`.

        Raises:
            UsageError: `folder` holds no study, or one that cannot be read.
        """
        return cls(folder, open_study(folder))

    @classmethod
    def create(
        cls,
        folder: Path,
        config: StudyConfig,
        space: SearchSpace,
        dataset: DatasetInfo,
        first: Sequence[Architecture] = (),
    ) -> StoredStudy:
        """Create the study of `config` in `folder`.

        Args:
            folder: an existing folder.
            config: the configuration of the study.
            space: the search space.
            dataset: the description of the images.
            first: architectures to train first.
        """
        chosen = [objectives.get(name) for name in config.objectives]
        plain = config.model_dump(mode="json")
        attributes = {
            "objectives": [objective.to_dict() for objective in chosen],
            "config": plain,
            "space_size": str(space.size),  # may exceed what JSON readers take for a number
            "dataset": _dataset_attribute(dataset),
        }
        (folder / CONFIG).write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
        created = create_study(folder, config.name, [objective.direction for objective in chosen], attributes)
        for architecture in first:
            created.enqueue_trial(dict(space.encode(architecture)))
        return cls(folder, created)

    @property
    def name(self) -> str:
        """The name of the study."""
        return str(self.optuna.study_name)

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """The user attributes of the study, as they were when it was opened (`nas.study.storage` lists them)."""
        return dict(self.optuna.user_attrs)

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives, in the order of the values of trials.

        Raises:
            UsageError: the study does not list them.
        """
        stored, count = self.attributes.get("objectives"), len(self.optuna.directions)
        if not isinstance(stored, list) or len(stored) != count:
            rule = f"the attribute `objectives` of its study must list its {count} objectives"
            raise UsageError(f"{self.folder}: {rule}, found {stored!r}; did `nas search` write it?")
        return tuple(objectives.from_dict(item) for item in stored)

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration at the start of the study, plain JSON."""
        return self.attributes.get("config") or {}

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The description of the images, plain JSON."""
        return self.attributes.get("dataset") or {}

    @property
    def reading_version(self) -> int:
        """Version of the rules by which the folder of images was read; studies of versions 0.1 and 0.2 have 1."""
        return int(self.dataset.get("reading_version", 1))

    @property
    def space_size(self) -> int | None:
        """The number of architectures in the space; None if the study does not say."""
        text = str(self.attributes.get("space_size", ""))
        return int(text) if text.isdecimal() else None

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.optuna.get_trials(deepcopy=False)

    @property
    def test_accuracy(self) -> dict[str, float]:
        """Trial number as text -> accuracy on the test split, of the trials that were tested."""
        return dict(self.optuna.user_attrs.get("test_accuracy") or {})

    def set_test_accuracy(self, accuracies: Mapping[str, float]) -> None:
        """Store `accuracies`, which replace the stored ones."""
        self.optuna.set_user_attr("test_accuracy", dict(accuracies))

    def trial_folder(self, number: int) -> Path:
        """The folder of a trial's files."""
        return trial_folder(self.folder, number)

    def images(self) -> Path:
        """The file of the study's decoded images.

        Raises:
            StudyError: it is missing or damaged.
        """
        return find_images(self.folder / DATA, str(self.dataset.get("fingerprint")))

    def is_complete(self, trials: int) -> bool:
        """True if `trials` trials are trained and none runs or pauses."""
        stored = self.trials
        return not any(t.state == TrialState.RUNNING for t in stored) and sum(map(is_trained, stored)) >= trials

    def check_images(self, config: StudyConfig, dataset: DatasetInfo) -> None:
        """Raise `ConfigError` unless `dataset` is that of the study; accuracies on other images are not comparable."""
        fingerprint = self.dataset.get("fingerprint")
        if dataset.fingerprint != fingerprint:
            rule = f"data: must stay the images that the study started with, {fingerprint}, found {dataset.fingerprint}"
            raise ConfigError(config.where("data", "path"), f"{rule} (use another --out for another study)")


def _dataset_attribute(dataset: DatasetInfo) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "image_size": list(dataset.image_size),
        "in_chans": dataset.in_chans,
        "num_classes": dataset.num_classes,
        "class_names": list(dataset.class_names),
        "reading_version": dataset.reading_version,
        "skipped_count": dataset.skipped_count,
        "skipped": list(dataset.skipped),
        **{str(part): count for part, count in dataset.counts.items()},
    }
