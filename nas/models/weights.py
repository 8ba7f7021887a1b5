"""The trained network of a trial, from the weights in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError

from nas.errors import StudyError
from nas.evaluation.networks import trained_network
from nas.study.config import StudyTraining
from nas.study.content import StudyContent
from nas.study.layout import WEIGHTS
from nas.study.trials import AnyTrial
from nas.study.weights_header import WeightsHeader
from search_space.modules.network import Network
from trainers.training.checkpoint import training_identity
from trainers.training.weights_file import DamagedWeightsError, check_tensors


def load_trained(study: StudyContent, trial: AnyTrial) -> Network:
    """Load the trained network of a complete `trial` of `study`, in evaluation mode.

    Raises:
        StudyError: the weights are missing or damaged, or are those of another training.
    """
    folder = study.trained_folder(trial.number)
    place = f"trial {trial.number}: its weights in {folder}"
    architecture: Any = trial.user_attrs.get("architecture")
    if not isinstance(architecture, Mapping):
        raise StudyError(f"trial {trial.number}: its architecture in the database is missing or damaged")
    try:
        check_tensors(folder / WEIGHTS)
        header = WeightsHeader.read(folder / WEIGHTS)
        difference = header.difference(trial, tuple(objective.name for objective in study.objectives))
        if difference is not None:
            raise StudyError(f"{place} are those of another training: {difference}")
        network = trained_network(architecture, folder)
    except FileNotFoundError:
        raise StudyError(f"trial {trial.number}: its weights are missing from {folder}") from None
    except (DamagedWeightsError, SafetensorError, RuntimeError) as error:
        raise StudyError(f"{place} are damaged: {error}") from None
    expected = _identity(study, network, header.outcome.seed)
    if expected is not None and header.training != expected:
        found = f"{header.training[:12]}, that of the study's images and training is {expected[:12]}"
        raise StudyError(f"{place} are those of another training: its identity is {found}")
    return network


def _identity(study: StudyContent, network: Network, seed: int) -> str | None:
    """The identity that a training of `network` in `study` has; None if another version configured the study."""
    try:
        config = StudyTraining.model_validate(study.config.get("train") or {}).proxy
    except ValidationError:
        return None
    return training_identity(network, study, config, seed)
