"""Trials that were trained and wait for their measurement: on another kind of device than the study measures on, or because
the study measures only what may be on the front (`nas.driver.front_measuring`).

Such a trial is left in the storage, with the record of its training in the attribute `unmeasured`. Any driver of the study takes
it, as soon as one of its workers that may measure is free, has it measured, and records its outcome. The sampler and the
rungs know the trial only then, with all its values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.driver.adoption import measurable
from nas.driver.state import SearchState
from nas.objectives import OBJECTIVES, Objective
from nas.study.database.drivers import DRIVER
from nas.study.database.trial_store import Lease, Transaction, TrialChange
from nas.study.layout import remove_checkpoint
from nas.study.outcomes.predicted_values import PREDICTED_VALUES
from nas.study.outcomes.records import Completed, MeasuredOnly, Paused, Refused
from nas.study.outcomes.unmeasured import UNMEASURED, Unmeasured
from nas.study.outcomes.worker_tasks import MeasureTask
from search_space import Architecture

logger = logging.getLogger(__name__)


def measured_names(objectives: Iterable[Objective], limits: Iterable[str]) -> list[str]:
    """The names of those of the `objectives`, and of the objectives with `limits`, that are measured."""
    chosen = {objective.name: objective for objective in (*objectives, *(OBJECTIVES[name] for name in limits))}
    return [name for name, objective in chosen.items() if objective.source == "measured"]


class Measurements:
    """The trials that wait for their measurement.

    Args:
        state: the state of the search; it is updated.
        names: the measured objectives that a trial needs.
        folder_of: maps the number of a trial to the folder of its files.
    """

    def __init__(self, state: SearchState, names: Sequence[str], folder_of: Callable[[int], Path]) -> None:
        self.state = state
        self.names = tuple(names)
        self.folder_of = folder_of
        self._trained_by: dict[int, str | None] = {}  # trial that is being recorded -> the driver that has trained it

    def lacks(self, number: int, trained: Completed | Paused) -> bool:
        """True if the open trial `number`, which was `trained`, has to be measured yet."""
        values = {**self.state.open[number].user_attrs, **trained.measured.values}
        return self.state.is_measured_apart and any(values.get(name) is None for name in self.names)

    def precedes_training(self, number: int) -> bool:
        """True if the open trial `number` is to be measured before its training, if its worker may."""
        front_measuring = self.state.front_measuring
        return front_measuring is None or not front_measuring.may_be_trained_first(self.state.open[number].user_attrs)

    def predicted(self, number: int, trained: Completed | Paused) -> dict[str, Any] | None:
        """The user attributes that replace the measurement of the open trial `number`; None if it has to be measured."""
        front_measuring = self.state.front_measuring
        if front_measuring is None:
            return None
        attributes, is_complete = self.state.open[number].user_attrs, isinstance(trained, Completed)
        predictions = front_measuring.predict_instead(attributes, trained.trained.values, is_complete)
        if predictions is None:
            return None
        return {PREDICTED_VALUES: {name: prediction.to_list() for name, prediction in predictions.items()}}

    def hold(self, number: int, trained: Completed | Paused, attributes: Mapping[str, Any]) -> None:
        """Release the open trial `number`, which was `trained` and waits for its measurement; also write its user `attributes`.

        Raises:
            StorageError: the storage cannot be written; the call may be repeated.
        """
        waiting = Unmeasured(trained, self.state.store.driver).to_dict()
        self.release(number, {**attributes, UNMEASURED: waiting})
        if isinstance(trained, Completed):  # its weights are written, and another driver records it
            remove_checkpoint(self.folder_of(number))
        logger.info("trial %d is trained, and waits for its measurement", number)

    def take(self) -> MeasureTask | None:
        """Take a trial that waits; None: there is none.

        Raises:
            StorageError: the storage cannot be read or written; the call may be repeated.
        """
        state = self.state

        def step(transaction: Transaction) -> int | None:
            state.update(transaction.read())
            transaction.look()
            number = next(iter(measurable(state)), None)
            if number is not None:
                transaction.take(number)
            return number

        number = state.store.transact(step) if measurable(state) else None
        if number is None:
            return None
        trial = state.open_trial(number)
        state.running.add(number)
        waiting = Unmeasured.from_attributes(trial.user_attrs)
        seed = 0 if waiting is None else waiting.trained.seed
        return MeasureTask(number, Architecture.from_dict(trial.user_attrs["architecture"]).to_json(), seed)

    def joined(self, number: int, measurement: MeasuredOnly) -> Completed | Paused | Refused | None:
        """The outcome of the open trial `number`; None if its `measurement` lacks a value: the worker has another device."""
        waiting = Unmeasured.from_attributes(self.state.open[number].user_attrs)
        if waiting is None or any(name not in measurement.measured.values for name in self.names):
            return None
        self._trained_by[number] = waiting.driver
        return measurement.completes(waiting.trained)

    def give_back(self, number: int, outcome: Completed | Paused | Refused) -> None:
        """Give the trial `number`, if it pauses, to the driver that has trained it and has its checkpoint.

        Raises:
            StorageError: the storage cannot be written.
        """
        store, trainer = self.state.store, self._trained_by.pop(number)
        if not isinstance(outcome, Paused) or not store.is_shared or trainer in (None, store.driver):
            return
        if store.may_take(number, trainer):  # it has ended
            return

        def write(transaction: Transaction) -> None:
            if transaction.lease(number) is Lease.HELD:
                transaction.write(number, TrialChange({DRIVER: trainer}))

        store.transact(write)
        self.state.release(number)
        self.state.unfinished[number] = trainer

    def release(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Release the open trial `number`, so that any driver may measure it; also write its user `attributes`.

        Raises:
            StorageError: the storage cannot be written; the call may be repeated.
        """

        def write(transaction: Transaction) -> None:
            if transaction.lease(number) is Lease.HELD:  # an earlier call, whose answer was lost, may have written it
                transaction.write(number, TrialChange({**attributes, DRIVER: None}))

        self.state.store.transact(write)
        self.state.release_unmeasured(number)
