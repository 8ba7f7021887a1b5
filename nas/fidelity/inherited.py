"""The inherited trainings of a study (`nas.study.outcomes.inheritance`), compared with trainings from scratch.

They are not repeated: what is judged is the accuracy that the search has seen, after the weights that it has taken over.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.objectives.costs import costs_of
from nas.study.outcomes.inheritance import Inheritance
from nas.study.trials import AnyTrial
from search_space import Architecture
from search_space.errors import SpaceError


@dataclass(frozen=True)
class InheritedTraining:
    """An architecture that the study has trained with inherited weights.

    Args:
        architecture: the architecture.
        epochs: of the training.
        accuracy: on the validation split, after the last epoch.
        seconds: of all epochs; NaN if a training from scratch has followed.
    """

    architecture: Architecture
    epochs: int
    accuracy: float
    seconds: float


def inherited_trainings(trials: Iterable[AnyTrial], primary: str) -> tuple[InheritedTraining, ...]:
    """The inherited trainings of `trials`, in their order.

    Args:
        trials: of a study.
        primary: the name of the objective of their intermediate values.
    """
    trainings = []
    for trial in trials:
        inherited, plain = Inheritance.from_attributes(trial.user_attrs), trial.user_attrs.get("architecture")
        if inherited is None or plain is None or inherited.epochs not in trial.intermediate_values:
            continue
        curve = trial.user_attrs.get("curve") or []
        is_own = len(curve) == inherited.epochs  # and not that of the training from scratch that has followed
        accuracy = trial.intermediate_values[inherited.epochs] if primary == "accuracy" else None
        accuracy = curve[-1].get("val_accuracy") if accuracy is None and is_own else accuracy
        seconds = sum(epoch.get("wall_s") or 0.0 for epoch in curve) if is_own else math.nan
        if accuracy is None or not math.isfinite(accuracy):
            continue
        try:
            architecture = Architecture.from_dict(plain)
        except SpaceError:  # of another version
            continue
        trainings.append(InheritedTraining(architecture, inherited.epochs, float(accuracy), seconds))
    return tuple(trainings)


def sample_inherited(trainings: Sequence[InheritedTraining], count: int, seed: int) -> tuple[InheritedTraining, ...]:
    """At most `count` of `trainings`, spread over the costs of their architectures, by ascending MACs."""
    distinct = {training.architecture.id: training for training in trainings}
    ranked = sorted(distinct.values(), key=lambda t: (costs_of(t.architecture).macs, t.architecture.id))
    if len(ranked) <= count:
        return tuple(ranked)
    rng = np.random.default_rng([seed, count])
    edges = np.linspace(0, len(ranked), count + 1).astype(int)
    return tuple(ranked[int(rng.integers(low, high))] for low, high in itertools.pairwise(edges))
