"""Optuna's private API, all of it in one place; `tests/nas/study/test_optuna_adapter.py` names each use.

- `optuna.Trial` can be made of a trial that exists only by the id that its storage gives it (`FrozenTrial._trial_id`): a
  driver takes up the trials that an earlier one left running.
- `Trial.report` raises in multi-objective studies, although every storage keeps intermediate values (`Study._storage`).
"""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial


def open_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """The trial that `study` holds as RUNNING, to go on with."""
    return optuna.trial.Trial(study, trial._trial_id)


def set_intermediate_value(study: optuna.Study, trial: optuna.Trial, step: int, value: float) -> None:
    """Keep the `value` that `trial` has reached at `step`, also in a study of several objectives."""
    study._storage.set_trial_intermediate_value(trial._trial_id, step, value)
