"""Whose weights a file holds: the header names the architecture, the training and its outcome. Needs no torch.

A trial is trained by one seed on the images of its study, so the outcome in the header (the seed, and the loss after each epoch
to the last bit) is that of the trial, or the weights are those of another training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import StudyError
from nas.study.outcomes.record_json import from_record
from nas.study.outcomes.records import Completed
from nas.study.trials import AnyTrial
from search_space import Architecture
from search_space.errors import SpaceError
from trainers.json_text import parse_json
from trainers.training.weights_file import DamagedWeightsError, read_metadata

CURVE_KEYS = ("epoch", "train_loss", "val_loss", "val_accuracy")
"""What identifies an epoch of a training; the seconds in a curve are not compared."""


@dataclass(frozen=True)
class WeightsHeader:
    """The header of a file of weights.

    Args:
        file: the file.
        architecture: the architecture.
        training: the identity of the training (`trainers.training.checkpoint.training_identity`).
        outcome: the outcome of the training.
    """

    file: Path
    architecture: Architecture
    training: str
    outcome: Completed

    @classmethod
    def read(cls, file: Path) -> WeightsHeader:
        """Read the header of `file`.

        Raises:
            FileNotFoundError: the file does not exist.
            StudyError: it is damaged, or no trial wrote it.
        """
        try:
            metadata = read_metadata(file)
            outcome = from_record(parse_json(metadata["record"]))
            architecture = Architecture.from_json(metadata["architecture"])
        except DamagedWeightsError as error:
            raise StudyError(f"{file}: is damaged: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, SpaceError):
            raise StudyError(f"{file}: its header names no training of this project; did a trial write it?") from None
        if not isinstance(outcome, Completed):
            raise StudyError(
                f"{file}: its header must be that of a training that has ended, found {type(outcome).__name__}"
            )
        return cls(file, architecture, str(metadata.get("training")), outcome)

    def difference(self, trial: AnyTrial, objective_names: tuple[str, ...]) -> str | None:
        """What shows that these are not the weights of `trial`; None if they are.

        Args:
            trial: a complete trial.
            objective_names: the names of its values, in their order.
        """
        attributes = trial.user_attrs
        expected_id = attributes.get("id")
        if expected_id is not None and self.architecture.id != expected_id:
            return f"they are those of the architecture {self.architecture.id}, the trial has {expected_id}"
        if attributes.get("seed") is not None and self.outcome.seed != attributes["seed"]:
            return f"their training has the seed {self.outcome.seed}, that of the trial {attributes['seed']}"
        values = self.outcome.trained.values
        for name, value in zip(objective_names, trial.values or (), strict=False):
            if name in values and math.isfinite(value) and values[name] != value:
                return f"their training ended with {name} {values[name]:.6g}, the trial with {value:.6g}"
        return _other_epoch(self.outcome.trained.curve, attributes.get("curve"))


def _other_epoch(own_curve: Any, stored_curve: Any) -> str | None:
    """The first epoch that differs between two curves; None if there is none, or if the trial has no curve."""
    if not stored_curve:
        return None
    if len(own_curve) != len(stored_curve):
        return f"their training has {len(own_curve)} epochs, that of the trial {len(stored_curve)}"
    for epoch, (own, stored) in enumerate(zip(own_curve, stored_curve, strict=True), start=1):
        for key in CURVE_KEYS:
            if not _same(own, stored, key):
                return f"after epoch {epoch} the {key} of their training is {own.get(key)}, that of the trial {stored.get(key)}"
    return None


def _same(own: Mapping[str, Any], stored: Mapping[str, Any], key: str) -> bool:
    """True if both have the same value; NaN is the same as NaN."""
    return own.get(key) == stored.get(key) or json.dumps(own.get(key)) == json.dumps(stored.get(key))
