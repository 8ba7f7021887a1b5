"""All uses of Optuna's private API by studies; `tests/nas/study/test_optuna_adapter.py` names each of them.

- An `optuna.Trial` of an existing trial needs the id of its storage (`FrozenTrial._trial_id`): a driver adopts the trials
  that an earlier driver left running.
- The same id starts one certain trial of those that wait, while `Study.ask` starts the first (`Study._storage`).
- `Trial.report` raises in multi-objective studies, although every storage keeps intermediate values (`Study._storage`).
- A trial that is opened by its id sees the trials of its study as they are then, as one of `Study.ask` does
  (`Study._thread_local`).
- The parameters that a trial suggests are written together, not one by one: `Trial.storage` is replaced.
- A sampler is notified of the end of a trial that did not end by `Study.tell` (`Trial._cached_frozen_trial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

Params = dict[str, tuple[float, str]]
"""Parameter -> its value in Optuna's internal representation, and the JSON of its distribution."""


def open_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Open a RUNNING trial of `study`, to continue it."""
    return optuna.trial.Trial(study, trial._trial_id)


def open_buffered_trial(study: optuna.Study, trial_id: int) -> tuple[optuna.Trial, Params]:
    """Open the RUNNING trial with this id; the parameters that it suggests are not written, but kept in the second value."""
    study._thread_local.cached_all_trials = None
    trial = optuna.trial.Trial(study, trial_id)
    buffer = _ParamBuffer(trial.storage)
    trial.storage = cast("BaseStorage", buffer)
    return trial, buffer.params


class _ParamBuffer:
    """Everything of a storage, but it keeps parameters."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self.params: Params = {}

    def set_trial_param(self, trial_id: int, name: str, value: float, distribution: BaseDistribution) -> None:
        self.params[name] = (value, distribution_to_json(distribution))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def tell_sampler(
    study: optuna.Study, trial: optuna.Trial, state: TrialState, values: Sequence[float] | None = None
) -> None:
    """Tell the sampler of `study` that `trial` has ended."""
    study._thread_local.cached_all_trials = None
    study.sampler.after_trial(study, trial._cached_frozen_trial, state, values)


def trial_of_number(study: optuna.Study, number: int) -> FrozenTrial:
    """The trial of `study` with this number."""
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    return study._storage.get_trial(trial_id)


def start_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Start a WAITING trial of `study`, which was enqueued."""
    study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    return optuna.trial.Trial(study, trial._trial_id)


def set_intermediate_value(study: optuna.Study, trial: optuna.Trial, step: int, value: float) -> None:
    """Store the intermediate `value` of `trial` at `step`, also in a study of several objectives."""
    study._storage.set_trial_intermediate_value(trial._trial_id, step, value)
