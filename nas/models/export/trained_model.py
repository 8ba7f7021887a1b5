"""A trained network of a study with all that the files of its export say about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.analysis.results import Results, Row
from nas.errors import StudyError, UsageError
from nas.models.retrain.training.loading import retrained_network
from nas.models.weights import load_trained
from nas.study.content import StudyContent
from nas.study.retrained import RetrainedRun, retrained_runs
from search_space.modules.network import Network
from trainers.data.dataset import Dataset

MAX_NAME_CHARS = 96
"""Of a repository of the Hugging Face Hub."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained network of a study.

    Args:
        study: the study.
        row: the trial (`nas.analysis.results.Results.trials`).
        network: the network, in evaluation mode.
        images: the images that it was trained on.
        run: the full training that the weights are from; None: the short training of the search.
    """

    study: StudyContent
    row: Row
    network: Network
    images: Dataset
    run: RetrainedRun | None = None

    @classmethod
    def load(cls, study: StudyContent, row: Row, images: Dataset, run: RetrainedRun | None = None) -> TrainedModel:
        """The trained network of the complete trial `row` of `study`, as `run` has trained it if there is one.

        Raises:
            StudyError: its weights are missing or damaged, or it does not fit the images.
        """
        number = int(row["trial"])
        if run is None:
            network = load_trained(study, next(trial for trial in study.trials if trial.number == number))
        else:
            network = retrained_network(study.folder, run)
        architecture = network.architecture
        of_images = (images.num_classes, images.in_chans, *images.image_size)
        of_network = (architecture.num_classes, architecture.in_chans, *architecture.image_size)
        names = ("num_classes", "in_chans", "height", "width")
        for name, expected, found in zip(names, of_images, of_network, strict=True):
            if found != expected:
                rule = f"must be that of the study's images, {expected}, found {found}"
                raise StudyError(f"trial {number}: {name} of its architecture {rule}")
        return cls(study, row, network, images, run)

    @property
    def trial(self) -> int:
        """The number of the trial."""
        return int(self.row["trial"])

    @property
    def name(self) -> str:
        """A name that files, YAML and repositories of the Hub can have: `digits-trial-12`."""
        words = re.sub(r"[^a-z0-9]+", "-", self.study.name.lower()).strip("-") or "study"
        end = f"-trial-{self.trial}{'' if self.run is None else '-retrained'}"
        return words[: MAX_NAME_CHARS - len(end)].rstrip("-") + end

    @property
    def train_config(self) -> Mapping[str, Any]:
        """The configuration of the training, plain JSON: a `TrainConfig`, or the `RecipeConfig` of a full training."""
        if self.run is not None:
            return self.run.recipe
        train = self.study.config.get("train")
        # A trial that is exported was trained from scratch, whatever others have inherited.
        return {key: value for key, value in train.items() if key != "inherit"} if isinstance(train, Mapping) else {}

    @property
    def epochs(self) -> int:
        """The number of epochs that it was trained for; 0 if the study does not say."""
        curve = self.row["curve"] if self.run is None else list(self.run.epochs)
        return len(curve) if isinstance(curve, list) else 0

    @property
    def seed(self) -> int | None:
        """The seed of the training; None if the study does not say."""
        return whole_or_none(self.row["seed"] if self.run is None else self.run.seed)


def best_run(study: StudyContent, trial: int) -> RetrainedRun:
    """The full training of `trial` with the best accuracy on the validation split.

    Raises:
        UsageError: it was not retrained on the study's images.
    """
    run = best_runs(study).get(trial)
    if run is None:
        raise UsageError(f"trial {trial}: was not retrained; `nas retrain {trial} --study {study.folder}` does it")
    return run


def best_runs(study: StudyContent) -> dict[int, RetrainedRun]:
    """Number of a trial -> its full training on the study's images with the best accuracy on the validation split."""
    runs = [run for run in retrained_runs(study.folder) if run.fingerprint == study.fingerprint]
    ascending = sorted(runs, key=lambda run: run.val_accuracy)
    return {run.trial: run for run in ascending if run.trial is not None}


def whole_or_none(value: object) -> int | None:
    """`value` if it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def complete_trial(results: Results, trial: int | str) -> Row:
    """The row of `trial`, a number or "best".

    Raises:
        UsageError: there is no such trial, or it is not complete.
    """
    row = results.trial(trial)
    if row["state"] != "complete":
        raise UsageError(f"trial {row['trial']}: only a complete trial has a model, this one is {row['state']}")
    return row
