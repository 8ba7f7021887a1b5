"""How the network of a task is trained: from its initial weights, or from those that it takes over from another trial."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from nas.evaluation.trial_files import TrialFiles
from nas.study.layout import INHERITED_WEIGHTS, WEIGHTS
from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.worker_tasks import TrialTask
from search_space.modules.network import Network
from trainers.training.checkpoint import load_weights
from trainers.training.config import TrainConfig
from trainers.training.inheritance import copy_matching
from trainers.training.weights_file import DamagedWeightsError, check_tensors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Args:
        config: of the training.
        file: the name of the file of the trained weights.
        origin: what identifies the weights that were taken over (`trainers.training.checkpoint.training_identity`).
        inherited: what was taken over, and from which trial; None: nothing.
    """

    config: TrainConfig
    file: str = WEIGHTS
    origin: str = ""
    inherited: Inheritance | None = None

    @classmethod
    def of(cls, task: TrialTask, network: Network, train: TrainConfig, files: TrialFiles) -> TrainingPlan:
        """The plan of `task`; the weights that it takes over are copied into `network`.

        Args:
            task: a trial whose folder is open.
            network: with its initial weights.
            train: a training from scratch.
            files: those of the trial.

        Raises:
            OSError: the weights of the other trial cannot be reached.
        """
        inherited = task.inherited
        if inherited is None:
            return cls(train)
        copied = copy_matching(network, _weights(task, inherited, files))
        return cls(
            train.model_copy(update={"epochs": inherited.epochs}),
            INHERITED_WEIGHTS,
            f"trial {inherited.parent}: {copied.digest}",
            replace(inherited, tensors=len(copied.names), parameters=copied.parameters),
        )


def _weights(task: TrialTask, inherited: Inheritance, files: TrialFiles) -> Mapping[str, Tensor]:
    """The weights of the parent; none if they are gone or damaged: the training then starts from initial weights."""
    file: Path | None = files.weights_of_parent(task, inherited)
    try:
        if file is None:
            raise FileNotFoundError(2, "it is gone")
        check_tensors(file)
        return load_weights(file)
    except (FileNotFoundError, DamagedWeightsError, SafetensorError) as error:
        logger.warning(
            "trial %d: the weights of trial %d cannot be taken over: %s", task.number, inherited.parent, error
        )
        return {}
