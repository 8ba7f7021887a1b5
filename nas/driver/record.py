"""Writes the outcome of a trial: its attributes, its traceback, its values and its state in the Optuna study."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from optuna.trial import TrialState

from nas.driver.state import SearchState
from nas.objectives import Objective, primary_index
from nas.study.database.trial_store import Lease, OpenTrial, Transaction, TrialChange
from nas.study.events import TrialLost, TrialRecorded
from nas.study.layout import ERROR, WEIGHTS, remove_checkpoint, remove_error, write_error
from nas.study.outcomes.failure_kinds import kind_of
from nas.study.outcomes.predicted_values import PREDICTED_VALUES, known_values
from nas.study.outcomes.records import (
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
from nas.study.outcomes.unmeasured import UNMEASURED
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

    def record(
        self, number: int, outcome: TrialOutcome, segments: Mapping[str, Any] = MappingProxyType({})
    ) -> TrialRecorded | TrialLost:
        """Record the `outcome` that a worker returned for the open trial `number`, unless another driver has adopted the trial.

        Args:
            number: the trial.
            outcome: its outcome.
            segments: further user attributes, predicted values among them.

        Raises:
            StorageError: the storage cannot be written; the call may be repeated.
        """
        trial = self.state.open.get(number)
        if trial is None:
            return TrialLost(number)
        attributes = {**segments, **outcome.to_attributes()}
        outcome, values = self._check_values({**trial.user_attrs, **segments}, outcome)
        if isinstance(outcome, Failed) and outcome.traceback:
            file = write_error(self.folder_of(number), outcome.traceback)
            outcome = replace(outcome, reason=f"{outcome.reason} (see trials/{file.parent.name}/{ERROR})")
        change = self._change(trial, outcome, attributes, values)

        def write(transaction: Transaction) -> Lease:
            lease = transaction.lease(number)
            if lease is Lease.HELD:
                transaction.write(number, change)
            return lease

        if self.state.store.transact(write) is Lease.LOST:
            logger.warning("trial %d: another driver has adopted it; its outcome here is not recorded", number)
            self.state.release(number)
            return TrialLost(number)
        trial.user_attrs |= change.attributes
        if self.state.front_measuring is not None:
            self.state.front_measuring.learn(number, trial.user_attrs, change.values)
        return self._recorded(number, outcome, change)

    def _change(
        self, trial: OpenTrial, outcome: TrialOutcome, attributes: Mapping[str, Any], values: tuple[float, ...]
    ) -> TrialChange:
        """What is written for `outcome`, whose values are `values`."""
        written = self._attributes(trial, outcome, attributes)
        if isinstance(outcome, Paused) and self.state.ladder is not None:
            return TrialChange(written, intermediate=(outcome.epoch, values[primary_index(self.objectives)]))
        if isinstance(outcome, Refused):
            return TrialChange(written, state=TrialState.PRUNED)
        if isinstance(outcome, Failed):
            return TrialChange(written, state=TrialState.FAIL)
        return TrialChange(written, state=TrialState.COMPLETE, values=values)

    def _recorded(self, number: int, outcome: TrialOutcome, change: TrialChange) -> TrialRecorded:
        """Update the state for an `outcome` that was written, and remove the files that are not needed any more."""
        state = self.state
        state.refused_in_a_row = state.refused_in_a_row + 1 if isinstance(outcome, Refused) else 0
        values = tuple(change.values or ())
        if change.state is None:
            state.running.discard(number)
            state.unmeasured.discard(number)
            if isinstance(outcome, Paused) and outcome.inherited is not None:
                remove_checkpoint(self.folder_of(number))  # the training from scratch does not continue it
            if state.ladder is not None and isinstance(outcome, Paused):
                state.ladder.reach(number, outcome.epoch, self._check_values(state.open[number].user_attrs, outcome)[1])
            return TrialRecorded(number, outcome)
        if isinstance(outcome, Failed):
            logger.info("trial %d failed: %s", number, outcome.reason)
        state.ended(number, change.state, change.values, counts=not isinstance(outcome, Refused))
        self._remove_files(number, outcome)
        return TrialRecorded(number, outcome, values)

    def stop_paused(self) -> list[TrialRecorded]:
        """Stop every paused trial. Call when nothing runs and nothing is promoted any more.

        Raises:
            StorageError: the storage cannot be written; the call may be repeated.
        """
        ladder = self.state.ladder
        if ladder is None or not ladder.paused:
            return []

        def write(transaction: Transaction) -> dict[int, int]:
            self.state.update(transaction.read())
            for number, epoch in ladder.paused.items():
                attributes = {OUTCOME: name_of(Stopped(epoch))}
                transaction.write(number, TrialChange(attributes, state=TrialState.PRUNED))
            return ladder.paused

        events = []
        for number, epoch in self.state.store.transact(write).items():
            self.state.ended(number, TrialState.PRUNED, None, counts=True)
            self._remove_files(number, Stopped(epoch))
            events.append(TrialRecorded(number, Stopped(epoch)))
        return events

    def _check_values(
        self, attributes: Mapping[str, Any], outcome: TrialOutcome
    ) -> tuple[TrialOutcome, tuple[float, ...]]:
        """The outcome and the values of the objectives; an outcome becomes `Failed` if a value is missing or not finite."""
        if not isinstance(outcome, TrainedSegment):
            return outcome, ()
        all_values = {**known_values(attributes), **outcome.measured.values, **outcome.trained.values}
        values = {objective.name: all_values.get(objective.name) for objective in self.objectives}
        if all(isinstance(value, int | float) and math.isfinite(value) for value in values.values()):
            return outcome, tuple(float(value) for value in values.values() if value is not None)
        reason = f"an objective is missing or not finite: {values}"
        failed = Failed(reason, seed=outcome.seed, wall_s=outcome.trained.wall_s, idle_s=outcome.idle_s)
        return replace(failed, infeasible=kind_of(reason)), ()

    def _attributes(self, trial: OpenTrial, outcome: TrialOutcome, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """`attributes` and those of `outcome`; the reason of another outcome that an interrupted driver has left is cleared."""
        written = {**attributes, **outcome.to_attributes()}
        if not isinstance(outcome, Paused):
            written[OUTCOME] = name_of(outcome)
        for name in ("refused", "failure", INFEASIBLE, UNMEASURED, PREDICTED_VALUES):
            if name not in written and trial.user_attrs.get(name) is not None:
                written[name] = None
        return written

    def _remove_files(self, number: int, outcome: TrialOutcome) -> None:
        """Remove the files of a trial that has ended and are not needed any more."""
        if isinstance(outcome, Failed):  # its checkpoint serves a retry
            remove_temporary_files(self.folder_of(number))
        else:
            remove_checkpoint(self.folder_of(number))
            remove_error(self.folder_of(number))
        # A training that a later database had promoted (`nas.evaluation.finished_training`), or that was measured afterwards.
        if isinstance(outcome, Stopped | Refused):
            (self.folder_of(number) / WEIGHTS).unlink(missing_ok=True)
