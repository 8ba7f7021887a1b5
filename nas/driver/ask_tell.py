"""The ask-and-tell interface of a search: `propose` gives the next trial, `record` writes its outcome, observers get events.

The Optuna study is the only state. This module needs neither ray nor torch; `nas.driver.dispatch` connects it to an executor.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from nas.driver.admission import Admission
from nas.driver.checkpoints import Checkpoints, FolderCheckpoints
from nas.driver.failure_streak import FailureStreak
from nas.driver.front_measuring import FrontMeasuring
from nas.driver.front_time import FrontTime
from nas.driver.measurements import Measurements, measured_names
from nas.driver.parents import Parents, architectures_of
from nas.driver.proposal import Finished, Proposal, Wait
from nas.driver.propose import Proposer
from nas.driver.record import Recorder
from nas.driver.rungs.ladder import Ladder
from nas.driver.rungs.promotion import PromotionRule
from nas.driver.segment_log import SegmentLog
from nas.driver.state import SearchState
from nas.driver.suspects import Suspects
from nas.driver.trial_losses import TrialLosses
from nas.objectives import Objective
from nas.sampler.batching import BatchingSampler, batch_size
from nas.study.database.trial_store import OptunaTrials, TrialStore
from nas.study.events import Event, Observer, SearchStarted, TrialLost, TrialRecorded, TrialStarted
from nas.study.outcomes.losses import LOSSES, TrialLoss
from nas.study.outcomes.records import (
    Completed,
    Interrupted,
    MachineFailure,
    MeasuredOnly,
    Paused,
    Refused,
    TrainedSegment,
    TrialOutcome,
    WorkerOutcome,
    name_of,
)
from nas.study.segments import Segment, WorkerFiles
from nas.study.trials import outcome_name, retried_numbers
from search_space import SearchSpace

logger = logging.getLogger(__name__)


class AskTell:
    """Proposes trials, records how they end, and notifies observers.

    Args:
        study: the Optuna study; its sampler makes the suggestions.
        space: the search space.
        objectives: the objectives, in the order of the study's values.
        target: number of trials to train, including failed ones; at least 1.
        folder_of: maps the number of a trial to the folder of its files.
        limits: objective -> the worst value allowed.
        seed: the seed of the study.
        promotion_rule: the rungs at which trainings pause, and who goes on; None: every trial is trained to the end.
        observers: receive every event.
        workers: the files in which workers announce what they train; None: there are none.
        store: reads and writes the trials; None: Optuna's interface, for a driver that is alone.
        checkpoints: the checkpoints and weights of trials; None: those in their folders.
        kind: the kind of device that trials are measured on, wherever they are trained; None: where they are trained.
        check_device: raises unless all measurements are on one device.
        front_measuring: decides which trials are measured; None: all are, before their training.
        front_time: keeps time of a time budget for the front, which is trained from scratch; None: there is none to keep.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        objectives: Sequence[Objective],
        target: int,
        folder_of: Callable[[int], Path],
        limits: Mapping[str, float] | None = None,
        seed: int = 0,
        promotion_rule: PromotionRule | None = None,
        observers: Sequence[Observer] = (),
        workers: WorkerFiles | None = None,
        store: TrialStore | None = None,
        checkpoints: Checkpoints | None = None,
        kind: str | None = None,
        check_device: Callable[[str | None], None] = lambda device: None,
        front_measuring: FrontMeasuring | None = None,
        front_time: FrontTime | None = None,
    ) -> None:
        checkpoints = checkpoints or FolderCheckpoints(folder_of)
        self.objectives = tuple(objectives)
        self.target = target
        self.folder_of = folder_of
        self.observers = (*observers, *([] if front_time is None else [front_time]))
        ladder = None if promotion_rule is None else Ladder(promotion_rule, self.objectives)
        self.kind = kind
        self.check_device = check_device
        self.state = SearchState(
            store or OptunaTrials(study),
            ladder,
            self.objectives,
            lambda number: checkpoints.mark_of(number) is not None,
            is_measured_apart=kind is not None,
            front_measuring=front_measuring,
        )
        parents = None
        if ladder is not None and (inherited_epochs := ladder.promotion_rule.inherited_epochs) is not None:
            parents = Parents(
                inherited_epochs, ladder, partial(architectures_of, study, space), checkpoints.has_weights
            )
        admission = Admission(self.state, space, self.objectives, limits or {}, self.notify, parents)
        self.proposer = Proposer(self.state, admission, target, seed, front_time)
        self.recorder = Recorder(self.state, self.objectives, folder_of)
        self.suspects = Suspects(self.recorder)
        self.losses = TrialLosses(self.state, folder_of, checkpoints.mark_of)
        self.streak = FailureStreak()
        self.segments = SegmentLog(self.state, workers)
        self.measurements = Measurements(self.state, measured_names(self.objectives, limits or {}), folder_of)

    def start(self, workers: int) -> None:
        """Notify the observers that the search starts with this number of `workers`."""
        trials = self.state.study.get_trials(deepcopy=False)
        retried = retried_numbers(trials)
        outcomes = Counter(
            name for trial in trials if trial.number not in retried and (name := outcome_name(trial)) is not None
        )
        values = [tuple(trial.values) for trial in trials if trial.state == TrialState.COMPLETE]
        ladder = self.state.ladder
        paused = () if ladder is None else tuple(ladder.paused)
        pauses = ladder is not None
        self.notify(SearchStarted(self.objectives, self.target, workers, values, dict(outcomes), pauses, paused))

    def propose(self) -> Proposal | Wait | Finished:
        """Return the next trial, for which the caller must call `start_trial`; `Finished` stops all paused trials."""
        proposal = self.proposer.propose()
        if self.suspects.has_held and not self.state.running and not isinstance(proposal, Proposal):
            self.settle()
            proposal = self.proposer.propose()
        if isinstance(proposal, Finished):
            for event in self.recorder.stop_paused():
                self.notify(event)
        return proposal

    def expect(self, waiting: int, arriving: float) -> None:
        """Expect that workers ask for trials; see `nas.sampler.batching.batch_size`."""
        sampler = self.state.study.sampler
        if isinstance(sampler, BatchingSampler):
            sampler.expect(batch_size(waiting, arriving))

    def start_trial(self, number: int) -> None:
        """Notify the observers that the proposed trial `number` is given to a worker."""
        self.notify(TrialStarted(number))

    def record_losses(self, number: int, losses: Sequence[TrialLoss]) -> None:
        """Write all `losses` of the trial `number`, unless another driver has adopted it."""
        if number in self.state.open:
            self.state.open[number].set_user_attr(LOSSES, [loss.to_dict() for loss in losses])

    def record(self, number: int, outcome: WorkerOutcome, segment: Segment | None = None) -> None:
        """Record the outcome of the proposed trial `number`, and its `segment`; None: its worker has sent none.

        Raises:
            StorageError: the storage cannot be written; the call may be repeated.
            MachineError: the machine is at fault for a failure; the trial stays open.
        """
        if number not in self.state.open:
            self.notify(TrialLost(number))
            return
        if isinstance(outcome, TrainedSegment | Refused | MeasuredOnly):
            self.check_device(outcome.measured.device)
        segments = self.segments.ended(number, segment)
        if isinstance(outcome, MeasuredOnly):
            self._record_measurement(number, outcome, segments)
            return
        if isinstance(outcome, MachineFailure | Interrupted):
            for name, value in segments.items():
                self.state.open[number].set_user_attr(name, value)
            if isinstance(outcome, Interrupted):
                self.state.running.discard(number)
                return
            event = self.suspects.add(number, outcome)
            if event is not None:
                self.notify(event)
            return
        if isinstance(outcome, Completed | Paused) and self.measurements.lacks(number, outcome):
            predicted = self.measurements.predicted(number, outcome)
            if predicted is None:
                self.settle()
                self.measurements.hold(number, outcome, segments)
                return
            segments |= predicted
        self._record(number, outcome, segments)

    def _record_measurement(self, number: int, measurement: MeasuredOnly, segments: Mapping[str, Any]) -> None:
        """Record the outcome of a trial that was trained before, if its `measurement` completes it."""
        outcome = self.measurements.joined(number, measurement)
        if outcome is None:
            self.measurements.release(number, segments)
        else:
            self._record(number, outcome, segments)
            self.measurements.give_back(number, outcome)

    def _record(self, number: int, outcome: TrialOutcome, segments: Mapping[str, Any]) -> None:
        """Write an outcome."""
        if isinstance(outcome, TrainedSegment):  # first: once `outcome` is written, nothing may fail and repeat it
            self.settle()
        self.notify(self.recorder.record(number, outcome, segments))

    def settle(self) -> None:
        """Record the trials that are held (`nas.driver.suspects`) as failed. Call when no other trial is left to decide."""
        for event in self.suspects.settle():
            self.notify(event)

    def notify(self, event: Event) -> None:
        """Send `event` to every observer."""
        if isinstance(event, TrialRecorded):
            logger.debug("trial %d: %s %s", event.number, name_of(event.outcome), event.values)
        for observer in (self.streak, *self.observers):
            observer.notify(event)
