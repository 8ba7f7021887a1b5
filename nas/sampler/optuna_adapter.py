"""The parts of Optuna that samplers need and that Optuna does not document, each with its reason."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """True if `value` is a value of `distribution`.

    Optuna has no public test of that: `BaseDistribution._contains` takes the internal representation.
    """
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # not one of the categories
        return False


def enqueued_params(trial: FrozenTrial) -> Mapping[str, Any]:
    """The parameters with which `trial` was enqueued; empty if it was not.

    `Study.enqueue_trial` keeps them in the system attribute "fixed_params", a key that Optuna does not document. Until the
    trial runs they are not among its `params`.
    """
    params: Mapping[str, Any] = trial.system_attrs.get("fixed_params", {})
    return params


def without_intermediate_values(study: Study) -> Study:
    """`study` as a sampler sees it, its PRUNED trials without intermediate values.

    Optuna's TPE ranks PRUNED trials by their last intermediate value and the only direction of the study: it raises if there
    are several directions, since `Trial.report` does not allow intermediate values then. Trials that are stopped at a rung
    have them. Without, they rank behind every complete trial.
    """
    return cast("Study", _StudyView(study))


class _StudyView:
    """Everything of a study but `_get_trials`, which Optuna's samplers call."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [_without_values(trial) for trial in self._study._get_trials(*args, **kwargs)]


def _without_values(trial: FrozenTrial) -> FrozenTrial:
    if trial.state != TrialState.PRUNED or not trial.intermediate_values:
        return trial
    changed = copy.copy(trial)
    changed.intermediate_values = {}
    return changed
