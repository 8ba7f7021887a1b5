"""What tables of trials have in common: states, and the user attributes that are columns of numbers and texts."""

from __future__ import annotations

from optuna.trial import TrialState

from nas import objectives
from nas.objectives.costs import COST_FIELDS
from nas.study.trials import AnyTrial, outcome_name

STATES = ("complete", "running", "waiting", "stopped", "refused", "duplicate", "failed")
TIMES = ("train_s", "overhead_s", "idle_s", "wall_s")
TEXTS = ("id", "device", "failure", "refused")
"""User attributes that are columns of text; None if missing."""

_UNFINISHED = {TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}


def number_columns() -> tuple[str, ...]:
    """The user attributes that are columns of numbers (NaN if missing): costs, measured and trained values, times."""
    values = (*objectives.names("cost"), *objectives.names("measured"), *objectives.names("trained"))
    return tuple(dict.fromkeys((*COST_FIELDS, *values, *TIMES, "test_accuracy")))


def state_of(trial: AnyTrial) -> str:
    """The state of `trial`, one of `STATES`."""
    outcome = outcome_name(trial)
    if outcome is None:
        return _UNFINISHED[trial.state]
    return "complete" if outcome == "completed" else outcome
