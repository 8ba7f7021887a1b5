"""All uses of Optuna's private API by studies; `tests/nas/study/test_optuna_adapter.py` names each of them.

- An `optuna.Trial` of an existing trial needs the id of its storage (`FrozenTrial._trial_id`): a driver adopts the trials
  that an earlier driver left running.
- The same id starts one certain trial of those that wait, while `Study.ask` starts the first (`Study._storage`).
- `Trial.report` raises in multi-objective studies, although every storage keeps intermediate values (`Study._storage`).
"""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState


def open_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Open a RUNNING trial of `study`, to continue it."""
    return optuna.trial.Trial(study, trial._trial_id)


def start_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Start a WAITING trial of `study`, which was enqueued."""
    study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    return optuna.trial.Trial(study, trial._trial_id)


def set_intermediate_value(study: optuna.Study, trial: optuna.Trial, step: int, value: float) -> None:
    """Store the intermediate `value` of `trial` at `step`, also in a study of several objectives."""
    study._storage.set_trial_intermediate_value(trial._trial_id, step, value)
