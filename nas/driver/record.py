"""Writes the outcome of a trial: its attributes, its traceback, its values and its state in the Optuna study."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from nas.driver.state import SearchState
from nas.objectives import Objective, primary_index
from nas.study.events import TrialRecorded
from nas.study.failure_kinds import kind_of
from nas.study.layout import ERROR, remove_checkpoint, remove_error, write_error
from nas.study.optuna_adapter import set_intermediate_value
from nas.study.records import (
    INFEASIBLE,
    OUTCOME,
    Failed,
    Paused,
    Refused,
    Stopped,
    TrainedSegment,
    TrialOutcome,
    name_of,
)
from trainers.files import remove_temporary_files

logger = logging.getLogger(__name__)


class Recorder:
    """Records outcomes.

    Args:
        state: the state of the search; it is updated.
        objectives: the objectives, in the order of values.
        folder_of: maps the number of a trial to the folder of its files.
    """

    def __init__(self, state: SearchState, objectives: Sequence[Objective], folder_of: Callable[[int], Path]) -> None:
        self.state = state
        self.study = state.study
        self.objectives = tuple(objectives)
        self.folder_of = folder_of

    def record(self, number: int, outcome: TrialOutcome) -> TrialRecorded:
        """Record the `outcome` that a worker returned for the open trial `number`."""
        self.state.running.discard(number)
        trial = self.state.open[number]
        attributes = outcome.to_attributes()
        outcome, values = self._check_values(trial, outcome)
        if isinstance(outcome, Failed) and outcome.traceback:
            file = write_error(self.folder_of(number), outcome.traceback)
            outcome = replace(outcome, reason=f"{outcome.reason} (see trials/{file.parent.name}/{ERROR})")
        self._write(trial, outcome, attributes)
        self.state.refused_in_a_row = self.state.refused_in_a_row + 1 if isinstance(outcome, Refused) else 0
        if isinstance(outcome, Refused):
            return self._end(number, outcome, TrialState.PRUNED)
        if isinstance(outcome, Failed):
            logger.info("trial %d failed: %s", number, outcome.reason)
            self.state.trained += 1
            return self._end(number, outcome, TrialState.FAIL)
        ladder = self.state.ladder
        if isinstance(outcome, Paused) and ladder is not None:
            set_intermediate_value(self.study, trial, outcome.epoch, values[primary_index(self.objectives)])
            ladder.reach(number, outcome.epoch, values)
            return TrialRecorded(number, outcome)
        self.state.trained += 1
        if ladder is not None:
            ladder.reach(number, ladder.halving.rungs[-1], values)
        return self._end(number, outcome, TrialState.COMPLETE, values)

    def stop_paused(self) -> list[TrialRecorded]:
        """Stop every paused trial. Call when nothing runs and nothing is promoted any more."""
        ladder = self.state.ladder
        if ladder is None:
            return []
        events = []
        for number, epoch in ladder.paused.items():
            self.state.trained += 1
            outcome = Stopped(epoch)
            self.state.open[number].set_user_attr(OUTCOME, name_of(outcome))
            events.append(self._end(number, outcome, TrialState.PRUNED))
        return events

    def _check_values(self, trial: optuna.Trial, outcome: TrialOutcome) -> tuple[TrialOutcome, tuple[float, ...]]:
        """The outcome and the values of the objectives; an outcome becomes `Failed` if a value is missing or not finite."""
        if not isinstance(outcome, TrainedSegment):
            return outcome, ()
        all_values = {**trial.user_attrs, **outcome.measured.values, **outcome.trained.values}
        values = {objective.name: all_values.get(objective.name) for objective in self.objectives}
        if all(isinstance(value, int | float) and math.isfinite(value) for value in values.values()):
            return outcome, tuple(float(value) for value in values.values() if value is not None)
        reason = f"an objective is missing or not finite: {values}"
        failed = Failed(reason, seed=outcome.seed, wall_s=outcome.trained.wall_s, idle_s=outcome.idle_s)
        return replace(failed, infeasible=kind_of(reason)), ()

    def _write(self, trial: optuna.Trial, outcome: TrialOutcome, attributes: Mapping[str, Any]) -> None:
        """Set `attributes` and those of `outcome`; clear the reason of another outcome that an interrupted driver has left."""
        written = {**attributes, **outcome.to_attributes()}
        if not isinstance(outcome, Paused):
            written[OUTCOME] = name_of(outcome)
        for name in ("refused", "failure", INFEASIBLE):
            if name not in written and trial.user_attrs.get(name) is not None:
                written[name] = None
        for name, value in written.items():
            trial.set_user_attr(name, value)

    def _end(
        self, number: int, outcome: TrialOutcome, state: TrialState, values: tuple[float, ...] = ()
    ) -> TrialRecorded:
        """End the trial `number` in the study and remove the files that are not needed any more."""
        if self.state.ladder is not None:
            self.state.ladder.leave(number)
        self.study.tell(self.state.open.pop(number), list(values) or None, state=state)
        if isinstance(outcome, Failed):  # its checkpoint serves a retry
            remove_temporary_files(self.folder_of(number))
        else:
            remove_checkpoint(self.folder_of(number))
            remove_error(self.folder_of(number))
        return TrialRecorded(number, outcome, values)
