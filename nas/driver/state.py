"""The state of a search, a fold over the trials in the storage: every driver, and one that starts again, computes the same.

`sync` reads what other drivers have changed since the last call; what this driver writes is part of the state at once. A trial is
*unfinished* while any driver runs it or has paused it, and *open* while this driver owns it. An architecture is *seen* once a
trial has it, whatever the outcome of the trial. `nas.driver.adoption` decides which trials this driver may take from others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from optuna.trial import TrialState

from nas.driver.front_measuring import FrontMeasuring
from nas.driver.rungs.ladder import Ladder
from nas.objectives import Objective, primary_index
from nas.study.database.drivers import DRIVER, UNKNOWN
from nas.study.database.trial_store import OpenTrial, TrialStore
from nas.study.outcomes.losses import losses_of
from nas.study.outcomes.predicted_values import known_values
from nas.study.outcomes.unmeasured import Unmeasured
from nas.study.trials import RETRIED_FROM, AnyTrial, is_trained, outcome_name

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
        """Unfinished trial -> its driver; None: its driver has released it."""
        self.last_rungs: dict[int, int] = {}
        """Unfinished trial -> the last rung that it has reached; 0: none."""
        self.loss_counts: dict[int, int] = {}
        """Unfinished trial -> number of losses of its worker or its node."""
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
        self.first_number = len(self.study.get_trials(deepcopy=False))
        """Number of trials at the start."""
        self.sync()  # last: if the construction fails before and is repeated, the store was not read yet

    @property
    def trained(self) -> int:
        """Number of trials that count towards the target: completed, failed and not repeated, or stopped at a rung."""
        return len(self._trained)

    # What is in the storage

    def sync(self) -> None:
        """Read what other drivers have changed.

        Raises:
            StorageError: the storage cannot be read.
        """
        self.update(self.store.read())

    def update(self, trials: Iterable[AnyTrial]) -> None:
        """Update the state by `trials`, as they are in the storage now; idempotent."""
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
                self._update_unfinished(trial)
            else:
                self._update_ended(trial)

    def _update_unfinished(self, trial: AnyTrial) -> None:
        number, attributes = trial.number, trial.user_attrs
        driver = attributes.get(DRIVER) if DRIVER in attributes else UNKNOWN  # null (released) is no UNKNOWN
        if number in self.open:
            if driver == self.store.driver or self.store.driver is None:
                return  # what this driver knows of its own trials is newer
            self._lose(number)
        self.unfinished[number] = driver
        self.last_rungs[number] = max(trial.intermediate_values, default=0)
        self.loss_counts[number] = len(losses_of(attributes))
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
        if until is None or self.last_rungs[number] < until:
            self.ladder.climb_to(number, until or self.ladder.promotion_rule.rungs[0])

    def _update_ended(self, trial: AnyTrial) -> None:
        number = trial.number
        if number in self.open and trial.user_attrs.get(DRIVER) == self.store.driver:
            return  # the answer to what this driver has written was lost; it writes it again
        self._lose(number)
        self._forget_unfinished(number)
        name, identity = outcome_name(trial), trial.user_attrs.get("id")
        if identity is not None:
            self._ids[number] = identity
        if number in self._repeated:
            return  # its repetition counts in its place
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
        """The failed trial `number` is repeated by another one, which counts in its place."""
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
        """If this driver owned the trial `number`, another one has adopted it."""
        if self.open.pop(number, None) is not None:
            logger.warning("trial %d: another driver has adopted it", number)
        self.running.discard(number)

    def _forget_unfinished(self, number: int) -> None:
        self.unfinished.pop(number, None)
        self.last_rungs.pop(number, None)
        self.loss_counts.pop(number, None)
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
        """Update the state: this driver has ended the trial `number`.

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

    def release(self, number: int) -> None:
        """Give up the trial `number`; this driver may adopt it again if its name is still on it."""
        self.open.pop(number, None)
        self.running.discard(number)

    def release_unmeasured(self, number: int) -> None:
        """Give up the trained trial `number`, which waits for its measurement by any driver."""
        self.release(number)
        self.unfinished[number] = None
        self.unmeasured.add(number)


def _accuracy_at(trial: AnyTrial, epoch: int) -> dict[str, float]:
    """The accuracy of `trial` after `epoch`, from its curve: no user attribute keeps it."""
    for entry in trial.user_attrs.get("curve") or []:
        if entry["epoch"] == epoch and entry.get("val_accuracy") is not None:
            return {"accuracy": entry["val_accuracy"]}
    return {}
