"""The state of a search, a fold over the trials in the storage: every driver, and one that starts again, computes the same.

`sync` takes in what other drivers have changed since the last call; what this driver writes, it takes in at once. A trial is
*unfinished* while it runs or pauses, whoever runs it, and *open* while it is in the hands of this driver. An architecture is
*seen* once a trial has it, whatever the outcome of the trial.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from optuna.trial import TrialState

from nas.driver.front_measuring import FrontMeasuring
from nas.driver.ladder import Ladder
from nas.objectives import Objective, primary_index
from nas.study.drivers import DRIVER, UNKNOWN
from nas.study.losses import losses_of
from nas.study.predicted_values import known_values
from nas.study.trial_store import OpenTrial, Transaction, TrialStore
from nas.study.trials import RETRIED_FROM, AnyTrial, is_trained, outcome_name
from nas.study.unmeasured import Unmeasured

logger = logging.getLogger(__name__)


class SearchState:
    """The counts and the trials of a search.

    Args:
        store: the trials.
        ladder: the rungs; None: every trial is trained to the end.
        objectives: the objectives, in the order of values; the intermediate values of trials are those of the primary one.
        has_checkpoint: True for the number of a trial that can continue in the folder of this driver.
        is_measured_apart: True if trials may be trained on another device than they are measured on, and so wait in between.
        front_measuring: decides which trials are measured, after their training, so that they may wait, too; None: all are.
    """

    def __init__(
        self,
        store: TrialStore,
        ladder: Ladder | None,
        objectives: Sequence[Objective],
        has_checkpoint: Callable[[int], bool] = lambda number: False,
        is_measured_apart: bool = False,
        front_measuring: FrontMeasuring | None = None,
    ) -> None:
        self.store = store
        self.study = store.study
        self.ladder = ladder
        self.has_checkpoint = has_checkpoint
        self.is_measured_apart = is_measured_apart or front_measuring is not None
        self.front_measuring = front_measuring
        self._objective_names = [objective.name for objective in objectives]
        self.primary_name = self._objective_names[primary_index(objectives)]
        self.open: dict[int, OpenTrial] = {}
        self.running: set[int] = set()
        """Open trials that a worker of this driver trains, or is about to."""
        self.unfinished: dict[int, str | None] = {}
        """Unfinished trial -> its driver; None: that has left it."""
        self.unmeasured: set[int] = set()
        """Unfinished trials that were trained and wait for their measurement, or are being measured."""
        self.retries: list[int] = []
        """Trials that repeat failed ones and have not started; they are proposed after the interrupted ones."""
        self.seen: dict[str, int] = {}
        """Id of an architecture -> the first trial that has it."""
        self.refused_in_a_row = 0
        """Number of trials that workers of this driver refused since the last one that they trained."""
        self._ids: dict[int, str] = {}  # trial -> id of its architecture
        self._trained: set[int] = set()
        self._repeated: set[int] = set()  # failed trials that others repeat
        self._reached: dict[int, int] = {}  # unfinished trial -> its last rung
        self._losses: dict[int, int] = {}  # unfinished trial -> how often its worker, or its node, was lost
        self.first_number = len(self.study.get_trials(deepcopy=False))
        """Number of trials at the start."""
        self.sync()  # at the end: whoever repeats a construction that has failed finds a store that was not read

    @property
    def trained(self) -> int:
        """Number of trials that count towards the target: completed, failed and not repeated, or stopped at a rung."""
        return len(self._trained)

    # What others have written

    def sync(self) -> None:
        """Take in what other drivers have changed.

        Raises:
            StorageError: the storage cannot be read.
        """
        self.take_in(self.store.read())

    def take_in(self, trials: Iterable[AnyTrial]) -> None:
        """Take in `trials` as they are in the storage now; once or several times is the same."""
        for trial in trials:
            repeated = trial.user_attrs.get(RETRIED_FROM)
            if repeated is not None:
                self._repeat(int(repeated))
            if trial.state == TrialState.WAITING:
                if repeated is not None and trial.number not in self.retries:
                    self.retries.append(trial.number)
                continue
            if trial.number in self.retries:
                self.retries.remove(trial.number)
            if self.front_measuring is not None:
                is_complete = trial.state == TrialState.COMPLETE
                self.front_measuring.learn(trial.number, trial.user_attrs, trial.values if is_complete else None)
            if trial.state == TrialState.RUNNING:
                self._take_in_unfinished(trial)
            else:
                self._take_in_ended(trial)

    def _take_in_unfinished(self, trial: AnyTrial) -> None:
        number, attributes = trial.number, trial.user_attrs
        driver = attributes.get(DRIVER) if DRIVER in attributes else UNKNOWN
        if number in self.open:
            if driver == self.store.driver or self.store.driver is None:
                return  # what this driver knows of its own trials is newer
            self._lose(number)
        self.unfinished[number] = driver
        self._reached[number] = max(trial.intermediate_values, default=0)
        self._losses[number] = len(losses_of(attributes))
        if Unmeasured.from_attributes(attributes) is None:
            self.unmeasured.discard(number)
        else:
            self.unmeasured.add(number)
        if attributes.get("id") is not None:
            self._see(number, attributes["id"])
        if self.ladder is None:
            return
        self.ladder.leave(number)
        self._reach_rungs(self.ladder, trial)
        until = attributes.get("until")
        if until is None or self._reached[number] < until:
            self.ladder.climb_to(number, until or self.ladder.promotion_rule.rungs[0])

    def _take_in_ended(self, trial: AnyTrial) -> None:
        number = trial.number
        if number in self.open and trial.user_attrs.get(DRIVER) == self.store.driver:
            return  # the answer to what this driver has written was lost; it writes it again
        self._lose(number)
        self._forget_unfinished(number)
        name, identity = outcome_name(trial), trial.user_attrs.get("id")
        if identity is not None:
            self._ids[number] = identity
        if number in self._repeated:
            return  # its repetition stands for it
        if identity is not None and name != "duplicate":
            self.seen.setdefault(identity, number)
        if is_trained(trial):
            self._trained.add(number)
        if self.ladder is not None:
            self._reach_rungs(self.ladder, trial)
            if trial.state == TrialState.COMPLETE:
                self.ladder.reach(number, self.ladder.promotion_rule.rungs[-1], trial.values or ())
            self.ladder.leave(number)

    def _reach_rungs(self, ladder: Ladder, trial: AnyTrial) -> None:
        """Put `trial` on the rungs that it has reached."""
        for epoch, primary_value in sorted(trial.intermediate_values.items()):
            values = {**known_values(trial.user_attrs), **_accuracy_at(trial, epoch), self.primary_name: primary_value}
            ladder.reach(trial.number, epoch, [float(values[name]) for name in self._objective_names])

    def _repeat(self, number: int) -> None:
        """The failed trial `number` is repeated by another, which stands for it."""
        if number in self._repeated:
            return
        self._repeated.add(number)
        self._trained.discard(number)
        identity = self._ids.get(number)
        if identity is not None and self.seen.get(identity) == number:
            del self.seen[identity]
        if self.ladder is not None:
            self.ladder.forget(number)

    def _lose(self, number: int) -> None:
        """The trial `number`, if it was in the hands of this driver, is in those of another one."""
        if self.open.pop(number, None) is not None:
            logger.warning("trial %d: another driver has adopted it", number)
        self.running.discard(number)

    def _forget_unfinished(self, number: int) -> None:
        self.unfinished.pop(number, None)
        self._reached.pop(number, None)
        self._losses.pop(number, None)
        self.unmeasured.discard(number)

    def _see(self, number: int, identity: str) -> None:
        self._ids[number] = identity
        if number not in self._repeated:
            self.seen.setdefault(identity, number)

    # What this driver does

    def open_trial(self, number: int) -> OpenTrial:
        """The trial `number`, which is this driver's."""
        self.unfinished[number] = self.store.driver  # first: if it cannot be opened now, it is adopted later
        if number not in self.open:
            self.open[number] = self.store.open(number)
        return self.open[number]

    def admitted(self, number: int, identity: str) -> None:
        """The open trial `number` has got the architecture `identity`."""
        self._see(number, identity)

    def ended(self, number: int, state: TrialState, values: Sequence[float] | None, counts: bool) -> None:
        """Take in that this driver has ended the trial `number`.

        Args:
            number: the trial.
            state: its state.
            values: of the objectives, if it is complete.
            counts: True if it counts as trained.
        """
        trial = self.open.pop(number, None)
        self.running.discard(number)
        self._forget_unfinished(number)
        if counts:
            self._trained.add(number)
        if self.ladder is not None:
            if values is not None:
                self.ladder.reach(number, self.ladder.promotion_rule.rungs[-1], values)
            self.ladder.leave(number)
        if trial is not None:
            self.store.close(trial, state, values)

    def leave(self, number: int) -> None:
        """Put the trial `number` out of the hands of this driver, which may adopt it again if it is still its own."""
        self.open.pop(number, None)
        self.running.discard(number)

    def left_unmeasured(self, number: int) -> None:
        """Take in that this driver has left the trained trial `number` to whoever measures it."""
        self.leave(number)
        self.unfinished[number] = None
        self.unmeasured.add(number)

    def measurable(self) -> list[int]:
        """The trials that wait for their measurement and that this driver may take, by their numbers."""
        waiting = self.unmeasured - self.open.keys()
        return sorted(number for number in waiting if self.store.may_take(number, self.unfinished.get(number)))

    def adopt(self) -> int | None:
        """Adopt a trial that its driver has left running, or whose lease has expired; returns its number.

        Raises:
            StorageError: the storage cannot be read or written.
        """
        numbers = self._interrupted()
        own = next((number for number in numbers if self.unfinished[number] == self.store.driver), None)

        def take(transaction: Transaction) -> int | None:
            self.take_in(transaction.read())
            transaction.look()
            numbers = self._interrupted()
            if not numbers:
                return None
            transaction.take(numbers[0])
            return numbers[0]

        number = own if own is not None or not numbers else self.store.transact(take)
        if number is None:
            return None
        if own is None:
            logger.info("trial %d is adopted from %s", number, self.unfinished[number])
        else:
            logger.info("trial %d: this driver has started it before, and goes on with it", number)
        if self.ladder is not None:
            self.ladder.leave(number)
            reached = self._reached.get(number)  # None: this driver has started it, and could not admit it
            if reached:
                self.ladder.pause_again(number, reached)
        self.unfinished[number] = self.store.driver
        return number

    def _interrupted(self) -> list[int]:
        """The trials that this driver may adopt: first those whose workers were never lost, then by their numbers."""
        paused = {} if self.ladder is None else self.ladder.paused
        numbers = [
            number
            for number, driver in self.unfinished.items()
            if number not in self.open
            and number not in paused
            and number not in self.unmeasured
            and self.store.may_take(number, driver)
        ]
        return sorted(numbers, key=lambda number: (self._losses.get(number, 0), number))

    def may_promote(self, number: int) -> bool:
        """True if this driver may continue the paused trial `number`: its checkpoint is here, or its driver has ended."""
        if number in self.open or not self.store.is_shared or self.has_checkpoint(number):
            return True
        return self.store.may_take(number, self.unfinished.get(number))

    def others_running(self) -> set[str | None]:
        """The other drivers that run trials, as far as this one knows."""
        paused = {} if self.ladder is None else self.ladder.paused
        return {
            driver for number, driver in self.unfinished.items() if number not in self.open and number not in paused
        }


def _accuracy_at(trial: AnyTrial, epoch: int) -> dict[str, float]:
    """The accuracy of `trial` after `epoch`, from its curve: no user attribute keeps it."""
    for entry in trial.user_attrs.get("curve") or []:
        if entry["epoch"] == epoch and entry.get("val_accuracy") is not None:
            return {"accuracy": entry["val_accuracy"]}
    return {}
