"""The state of a search, replayed from the trials in the storage: a restarted driver computes the same state.

A trial is *open* while it runs or pauses. An architecture is *seen* once a trial has it, whatever the outcome of the trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from nas.driver.halving import Ladder
from nas.objectives import Objective, primary_index
from nas.study.losses import losses_of
from nas.study.optuna_adapter import open_trial
from nas.study.trials import count_trained, outcome_name, retried_numbers, waiting_retries


class SearchState:
    """The counts and the open trials of a search.

    Args:
        study: the Optuna study.
        ladder: the rungs; None: every trial is trained to the end.
        objectives: the objectives, in the order of values; the intermediate values of trials are those of the primary one.
    """

    def __init__(self, study: optuna.Study, ladder: Ladder | None, objectives: Sequence[Objective]) -> None:
        self.study = study
        objective_names = [objective.name for objective in objectives]
        self.primary_name = objective_names[primary_index(objectives)]
        self.ladder = ladder
        trials = study.get_trials(deepcopy=False)
        self.open: dict[int, optuna.Trial] = {}
        self.running: set[int] = set()
        interrupted = [trial for trial in trials if trial.state == TrialState.RUNNING]
        self.interrupted = sorted(interrupted, key=lambda trial: len(losses_of(trial.user_attrs)))
        """Trials that an earlier driver left running; they are proposed first, those that lost their worker or node last."""
        self.retries = waiting_retries(trials)
        """Trials that repeat failed ones and have not started; they are proposed after the interrupted ones."""
        retried = retried_numbers(trials)
        self.seen = {
            trial.user_attrs["id"]: trial.number
            for trial in trials
            if "id" in trial.user_attrs
            and trial.state.is_finished()
            and trial.number not in retried
            and outcome_name(trial) != "duplicate"
        }
        """Id of an architecture -> the first trial that has it."""
        self.trained = count_trained(trials)
        """Number of trials that count towards the target: completed, failed and not repeated, or stopped at a rung."""
        self.refused_in_a_row = 0
        """Number of trials that workers refused since the last one that they trained."""
        if ladder is not None:
            self._replay(ladder, trials, objective_names)

    def _replay(self, ladder: Ladder, trials: Sequence[FrozenTrial], objective_names: Sequence[str]) -> None:
        """Put the trials of earlier drivers on their rungs."""
        retried = retried_numbers(trials)
        for trial in trials:
            if trial.number in retried:
                continue  # its repetition stands for it
            for epoch, primary_value in sorted(trial.intermediate_values.items()):
                values = {**trial.user_attrs, **_accuracy_at(trial, epoch), self.primary_name: primary_value}
                ladder.reach(trial.number, epoch, [float(values[name]) for name in objective_names])
            if trial.state == TrialState.COMPLETE:
                ladder.reach(trial.number, ladder.halving.rungs[-1], trial.values)
            reached = max(trial.intermediate_values, default=0)
            pauses = trial.state == TrialState.RUNNING and reached >= trial.user_attrs.get("until", math.inf)
            if pauses:
                self.interrupted = [other for other in self.interrupted if other.number != trial.number]
                self.open[trial.number] = open_trial(self.study, trial)
                self.seen[trial.user_attrs["id"]] = trial.number
                continue
            ladder.leave(trial.number)
            if trial.state == TrialState.RUNNING and reached:
                ladder.pause_again(trial.number, reached)


def _accuracy_at(trial: FrozenTrial, epoch: int) -> dict[str, float]:
    """The accuracy of `trial` after `epoch`, from its curve: no user attribute keeps it."""
    for entry in trial.user_attrs.get("curve") or []:
        if entry["epoch"] == epoch and entry.get("val_accuracy") is not None:
            return {"accuracy": entry["val_accuracy"]}
    return {}
