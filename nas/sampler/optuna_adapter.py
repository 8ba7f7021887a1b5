"""The parts of Optuna that samplers need and that Optuna does not document, each with its reason."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, cast

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

PLAN = "mixfront:plan"
"""The system attribute of a running trial with its planned parameters as JSON."""


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


def fixed_params(sampler: BaseSampler) -> Mapping[str, Any]:
    """The parameters that `PartialFixedSampler`s around a sampler fix; a wrapped sampler is not told them.

    Args:
        sampler: that of the study.
    """
    params: dict[str, Any] = {}
    while isinstance(sampler, PartialFixedSampler):
        params = {**sampler._fixed_params, **params}
        sampler = sampler._base_sampler
    return params


def storage_of(study: Study) -> BaseStorage:
    """The storage of `study`, which Optuna keeps private: with the study's id in it, it tells one study from another.

    Each study of an `RDBStorage` has a cache of its own around it.
    """
    storage = study._storage
    return storage._backend if isinstance(storage, _CachedStorage) else storage


def study_id_of(study: Study) -> int:
    """The id of `study` in its storage."""
    return study._study_id


def is_shared(study: Study) -> bool:
    """True if other processes may work on `study`, too."""
    return not isinstance(study._storage, InMemoryStorage)


def share_plan(study: Study, trial: FrozenTrial, params: Mapping[str, Any]) -> None:
    """Write the parameters planned for the running `trial` for other processes to see, as Optuna's TPE does.

    A trial gets its parameters one by one, when they are asked for. The storage has no other place for what is planned.
    """
    study._storage.set_trial_system_attr(trial._trial_id, PLAN, json.dumps(dict(params)))


def shared_plan(trial: FrozenTrial) -> Mapping[str, Any]:
    """The parameters that `share_plan` has written for `trial`; empty if it has not, or if something else stands there."""
    try:
        plan = json.loads(trial.system_attrs.get(PLAN, "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return plan if isinstance(plan, dict) else {}


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
