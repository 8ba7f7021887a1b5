"""A study on disk, opened once: its Optuna study, its attributes as typed values, and the files in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from nas.study.dataset import dataset_record
from nas.study.environment import ATTRIBUTE as ENVIRONMENTS, with_current
from nas.study.images import find_images
from nas.study.layout import CONFIG, DATA, trial_folder
from nas.study.storage import create_study, is_writable, open_study, read_study, set_metric_names, write_attributes
from nas.study.trials import count_trained, waiting_retries
from search_space import Architecture, SearchSpace
from trainers.data.prepared import DatasetInfo
from trainers.files import atomic_write
from trainers.training.confusion import Confusion

TARGET = "target"
"""The user attribute of a study: what its last search aims at."""


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
        """Open the study in `folder`, to continue it.

        Raises:
            UsageError: `folder` holds no study, or one that cannot be read.
        """
        return cls(folder, open_study(folder))

    @classmethod
    def read(cls, folder: Path) -> StoredStudy:
        """Read the study in `folder` as it is now; the folder may be read-only, and nothing in it changes.

        Raises:
            UsageError: `folder` holds no study, or one that cannot be read.
        """
        return cls(folder, read_study(folder))

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
            "dataset": dataset_record(dataset),
            ENVIRONMENTS: with_current(None),
        }
        with atomic_write(folder / CONFIG) as temporary:
            temporary.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
        directions = [objective.direction for objective in chosen]
        created = create_study(folder, config.name, directions, attributes, config.objectives)
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
    def fingerprint(self) -> str:
        """The fingerprint of the images."""
        return str(self.dataset.get("fingerprint"))

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
    def environments(self) -> list[Mapping[str, Any]]:
        """The versions and machines of the study's searches (`nas.study.environment`); none in studies of version 0.1."""
        return list(self.attributes.get(ENVIRONMENTS) or [])

    def record_environment(self) -> None:
        """Store the current versions and machine if they differ from the last ones; name the values for Optuna's own tools."""
        environments = with_current(self.optuna.user_attrs.get(ENVIRONMENTS))
        if environments is not None:
            self.optuna.set_user_attr(ENVIRONMENTS, environments)
        set_metric_names(self.optuna, [objective.name for objective in self.objectives])

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.optuna.get_trials(deepcopy=False)

    @property
    def test_accuracy(self) -> dict[str, float]:
        """Trial number as text -> accuracy on the test split, of the trials that were tested."""
        return dict(self.optuna.user_attrs.get("test_accuracy") or {})

    @property
    def is_writable(self) -> bool:
        """True if this process may write to the study."""
        return is_writable(self.folder)

    @property
    def test_confusion(self) -> dict[str, Confusion]:
        """Trial number as text -> confusion matrix on the test split, of the trials tested by this version."""
        stored = self.optuna.user_attrs.get("test_confusion") or {}
        return {number: Confusion.from_dict(plain) for number, plain in stored.items()}

    def set_test_results(self, accuracies: Mapping[str, float], confusions: Mapping[str, Confusion]) -> None:
        """Store test accuracies and confusion matrices, which replace the stored ones.

        Raises:
            MachineError: the database cannot be written.
        """
        plain = {number: confusion.to_dict() for number, confusion in confusions.items()}
        write_attributes(self.folder, {"test_accuracy": dict(accuracies), "test_confusion": plain})

    def trial_folder(self, number: int) -> Path:
        """The folder of a trial's files."""
        return trial_folder(self.folder, number)

    def images(self) -> Path:
        """The file of the study's decoded images.

        Raises:
            StudyError: it is missing or damaged.
        """
        return find_images(self.folder / DATA, self.fingerprint)

    def is_complete(self, trials: int) -> bool:
        """True if `trials` trials are trained, none runs or pauses, and no failed one waits to be repeated."""
        stored = self.trials
        is_open = any(trial.state == TrialState.RUNNING for trial in stored) or bool(waiting_retries(stored))
        return not is_open and count_trained(stored) >= trials

    @property
    def is_exhausted(self) -> bool:
        """True if every architecture of the space was tried, and no trial runs or pauses."""
        stored = self.trials
        if self.space_size is None or any(trial.state == TrialState.RUNNING for trial in stored):
            return False
        return len({trial.user_attrs["id"] for trial in stored if "id" in trial.user_attrs}) >= self.space_size

    @property
    def end_reason(self) -> str:
        """Why the last search ended before it had its number of trials; empty if it had them, or did not end."""
        return str(self.optuna.user_attrs.get("end_reason") or "")

    def record_target(self, trials: int, time_budget: timedelta | None, workers: int) -> None:
        """Store what a search that starts now aims at, for those who watch it.

        Args:
            trials: number of trials to train.
            time_budget: the time after which it ends; None: without limit.
            workers: number of trials at a time.
        """
        since = datetime.now(UTC).isoformat(timespec="seconds")
        budget_s = None if time_budget is None else time_budget.total_seconds()
        target = {"trials": trials, "time_budget_s": budget_s, "since": since, "workers": workers}
        self.optuna.set_user_attr(TARGET, target)

    def set_end_reason(self, reason: str) -> None:
        """Store why the search ended before it had its number of trials; empty: it has them."""
        if reason != self.end_reason:
            self.optuna.set_user_attr("end_reason", reason)

    def check_images(self, config: StudyConfig, dataset: DatasetInfo) -> None:
        """Raise `ConfigError` unless `dataset` is that of the study; accuracies on other images are not comparable."""
        fingerprint = self.dataset.get("fingerprint")
        if dataset.fingerprint != fingerprint:
            rule = f"data: must stay the images that the study started with, {fingerprint}, found {dataset.fingerprint}"
            raise ConfigError(config.where("data", "path"), f"{rule} (use another --out for another study)")
