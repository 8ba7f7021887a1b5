"""A study on disk that is open: its Optuna study, to which a search writes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from nas import objectives
from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.content import StudyContent, StudySnapshot
from nas.study.database.storage import create_study, open_study, set_metric_names
from nas.study.database.storage_url import StorageUrl
from nas.study.dataset import dataset_record
from nas.study.environment import ATTRIBUTE as ENVIRONMENTS, with_current
from nas.study.layout import CONFIG
from nas.study.trials import count_trained, waiting_retries
from search_space import Architecture, SearchSpace
from trainers.data.description import DatasetInfo
from trainers.files import atomic_write

TARGET = "target"
"""The user attribute of a study: what its last search aims at."""


@dataclass(frozen=True)
class StoredStudy(StudyContent):
    """A study in a folder.

    Args:
        folder: the folder of the study.
        optuna: the Optuna study.
    """

    optuna: optuna.Study

    @classmethod
    def open(cls, folder: Path, storage: StorageUrl | None = None) -> StoredStudy:
        """Open the study in `folder`, to continue it.

        Args:
            folder: the folder of the study.
            storage: the URL of the database that the folder names, with a password; None: as the folder names it.

        Raises:
            UsageError: `folder` holds no study, or one that cannot be read.
        """
        return cls(folder, open_study(folder, storage))

    @classmethod
    def read(cls, folder: Path) -> StudySnapshot:
        """Read the study in `folder` as it is now; the folder may be read-only, and nothing in it changes.

        Raises:
            UsageError: `folder` holds no study, or one that cannot be read.
        """
        return StudySnapshot.of(folder)

    @classmethod
    def create(
        cls,
        folder: Path,
        config: StudyConfig,
        space: SearchSpace,
        dataset: DatasetInfo,
        first: Sequence[Architecture] = (),
        storage: StorageUrl | None = None,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> StoredStudy:
        """Create the study of `config` in `folder`.

        Args:
            folder: an existing folder.
            config: the configuration of the study.
            space: the search space.
            dataset: the description of the images.
            first: architectures to train first.
            storage: the database that it is created in; None: in the folder.
            more: further user attributes.
        """
        chosen = [objectives.get(name) for name in config.objectives]
        plain = config.model_dump(mode="json")
        attributes = {
            "objectives": [objective.to_dict() for objective in chosen],
            "config": plain,
            "space_size": str(space.size),  # may exceed what JSON readers take for a number
            "dataset": dataset_record(dataset),
            ENVIRONMENTS: with_current(None),
            **more,
        }
        _write_config(folder, plain)
        directions = [objective.direction for objective in chosen]
        params = [dict(space.encode(architecture)) for architecture in first]
        created = create_study(folder, config.name, directions, attributes, config.objectives, params, storage)
        return cls(folder, created)

    @property
    def name(self) -> str:
        """The name of the study."""
        return str(self.optuna.study_name)

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """The user attributes of the study as they are now."""
        return self.optuna.user_attrs

    @property
    def objective_count(self) -> int:
        """The number of values of a trial."""
        return len(self.optuna.directions)

    @property
    def now_s(self) -> float:
        """The time of this machine."""
        return time.time()

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials as they are now, by number."""
        return self.optuna.get_trials(deepcopy=False)

    def keep_config(self) -> None:
        """Write the configuration to the folder, if it is not there, as in one that joins the study of other drivers."""
        if not (self.folder / CONFIG).exists():
            _write_config(self.folder, dict(self.config))

    def name_values(self) -> None:
        """Name the values of trials for Optuna's own tools, unless they have names."""
        set_metric_names(self.optuna, [objective.name for objective in self.objectives])

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

    def record_workers(self, workers: int) -> None:
        """Store the number of trials that the search now trains at a time (`record_target`)."""
        self.optuna.set_user_attr(TARGET, {**self.optuna.user_attrs.get(TARGET, {}), "workers": workers})

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


def _write_config(folder: Path, plain: Mapping[str, Any]) -> None:
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(yaml.safe_dump(dict(plain), sort_keys=False), encoding="utf-8")
