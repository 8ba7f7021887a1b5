"""A training that was finished before its outcome was recorded: the header of its weights holds the outcome.

The driver was killed, or the database is older than the files: a backup was unpacked, or the power failed. So the trial may not
even have reached its first rung in the database. It takes its rungs as in an undisturbed search, without being trained again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from nas.study.outcomes.record_json import from_record
from nas.study.outcomes.records import Completed, Paused
from search_space import Architecture
from trainers.json_text import parse_json
from trainers.training import checkpoint

logger = logging.getLogger(__name__)

CURVE_OBJECTIVES = frozenset({"accuracy"})
"""Trained objectives whose value at an earlier epoch is in the curve; others need the network as it was then."""


def finished_training(file: Path, architecture: Architecture, identity: Callable[[], str]) -> Completed | Paused | None:
    """The outcome in the header of the weights in `file`; None if they are not there, or are those of another training.

    It is `Paused` for the weights of an inherited training.

    Args:
        file: the weights.
        architecture: that of the training.
        identity: computes the identity of the training (`trainers.training.checkpoint.training_identity`).
    """
    metadata = checkpoint.load_metadata(file)
    if metadata.get("architecture") != architecture.to_json() or metadata.get("training") != identity():
        return None
    try:
        outcome = from_record(parse_json(metadata["record"]))
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        logger.info("the header of %s holds no outcome; the training is repeated", file)
        return None
    return outcome if isinstance(outcome, Completed | Paused) else None


def paused_at(completed: Completed, epoch: int, objectives: Collection[str]) -> Paused | None:
    """What the training was at the rung `epoch`; None if the values of its trained `objectives` there are not known."""
    curve = completed.trained.curve[:epoch]
    accuracy = curve[-1].get("val_accuracy") if len(curve) == epoch else None
    if accuracy is None or not CURVE_OBJECTIVES.issuperset(objectives):
        return None
    trained = replace(
        completed.trained,
        values={name: float(accuracy) for name in objectives},
        curve=curve,
        train_s=sum(passed["train_s"] for passed in curve),
        wall_s=sum(passed["wall_s"] for passed in curve) + completed.trained.overhead_s,
    )
    return Paused(completed.seed, completed.measured, trained, epoch=epoch)
