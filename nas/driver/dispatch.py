"""The link between the ask-and-tell interface and an executor, built so that workers rarely wait for the sampler or the disk.

An outcome is written when no worker is about to get its next trial, and after `MAX_WRITE_DELAY_S` at the latest. If trials
are so short that a suggestion would keep a worker waiting, the next suggestion is made while all workers are busy.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from nas.driver.ask_tell import AskTell
from nas.driver.measuring_demand import MeasuringDemand
from nas.driver.pace import Pace
from nas.driver.proposal import Finished, Proposal, Wait
from nas.driver.storage_retry import StorageRetry
from nas.driver.trial_losses import excuse
from nas.errors import MachineError, StorageError
from nas.execution.base import FINISHED, WAIT, Loss, NoTask, Task, TaskSource
from nas.execution.interrupts import Interrupts
from nas.sampler.batching import MIN_WORKERS
from nas.study.database.storage_errors import DATABASE_ERRORS
from nas.study.device_kind import is_of_kind
from nas.study.outcomes.losses import TrialLoss
from nas.study.outcomes.record_json import from_record, segment_of
from nas.study.outcomes.records import Failed, TrainedSegment, WorkerOutcome
from nas.study.outcomes.worker_tasks import MeasureTask, TrialTask
from nas.study.segments import Segment

MAX_WRITE_DELAY_S = 0.2
"""An outcome is written after this delay, even if a worker has to wait."""

MAX_TICK_S = 30.0
"""A driver that is not called for longer was stopped, together with its workers if its job was suspended."""
WAKING_S = 60.0
"""The death of a worker within this time after such a stop is not the fault of its trial."""

WORKERS_INTERVAL_S = 1.0
"""Seconds between two looks at which worker trains what."""


class TrialDispatcher(TaskSource):
    """Gives an executor the trials of a search as tasks, and records their outcomes.

    Args:
        ask_tell: proposes and records trials.
        workers: number of workers.
        interrupts: the interrupts of this process.
        check_place: raises if the folder of the study is not where it was, before outcomes are recorded.
        clock: a monotonic clock, in seconds.
        on_message: shows a line of the executor to the user.
        on_workers: called when the number of workers has changed.
        retry: repeats what fails while the storage is away; None: with the usual limits.
        wait_s: how long a search waits that has nothing left but measurements that none of its workers can make.
    """

    def __init__(
        self,
        ask_tell: AskTell,
        workers: int,
        interrupts: Interrupts | None = None,
        check_place: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
        on_message: Callable[[str], None] = lambda text: None,
        on_workers: Callable[[int], None] = lambda count: None,
        retry: StorageRetry | None = None,
        wait_s: float = math.inf,
    ) -> None:
        self.ask_tell = ask_tell
        self.workers = workers
        self.interrupts = interrupts or Interrupts()
        self.check_place = check_place
        self.clock = clock
        self.show_message = on_message
        self.report_workers = on_workers
        self.retry = retry or StorageRetry(clock=clock)
        self.demand = MeasuringDemand(ask_tell.state, ask_tell.kind, on_message, wait_s, clock)
        self._reported_workers = workers
        self._running: dict[str, int] = {}  # name of a task -> number of its trial
        self._not_started: set[str] = set()  # tasks that no worker has received yet
        self._unwritten: deque[tuple[float, int, WorkerOutcome | list[TrialLoss], Segment | None]] = deque()
        """(time of arrival, trial, outcome or all its losses, segment)"""
        self._ticked_at_s: float | None = None
        self._woke_at_s = -math.inf  # the end of the last time in which this process was stopped
        self._workers_read_s = -math.inf  # time at which the workers were looked at
        self._ahead: Proposal | Wait | Finished | None = None
        self._taken: MeasureTask | None = None  # a measurement that no worker has got yet
        self._pace = Pace(clock)
        self._task_count = 0

    def next_task(self) -> Task | NoTask:
        """Return the next trial as a task."""
        self._check()
        if self.interrupts.is_stopping:
            return FINISHED
        if self._ahead is None:
            self.retry.attempt(self._propose)
        proposal, self._ahead = self._ahead, None
        if isinstance(proposal, Finished):
            return FINISHED
        if proposal is None or isinstance(proposal, Wait):  # None: the storage is away
            return WAIT
        self._pace.trial_given()
        self.ask_tell.start_trial(proposal.number)
        task = TrialTask(
            number=proposal.number,
            architecture=proposal.architecture.to_json(),
            seed=proposal.seed,
            folder=str(self.ask_tell.folder_of(proposal.number)),
            until=proposal.until,
            earlier=proposal.earlier,
            inherited=proposal.inherited,
            measures=self.ask_tell.measurements.precedes_training(proposal.number),
        )
        return self._give(proposal.number, task.to_dict())

    def _give(self, number: int, payload: Mapping[str, Any]) -> Task:
        """The task `payload` of the trial `number`, which counts as running from now on."""
        self._task_count += 1
        name = f"{number}/{self._task_count}"
        self._running[name] = number
        self._pace.task_given(name)
        self._not_started.add(name)
        return Task(name, payload)

    def next_task_for(self, device: str | None) -> Task | NoTask:
        """Return the next trial for a worker on `device`: first one that waits for its measurement there."""
        kind = self.ask_tell.kind
        if not self.ask_tell.state.is_measured_apart:
            return self.next_task()
        self.demand.see(device)
        may_measure = kind is None or (device is not None and is_of_kind(device, kind))
        task = (self._next_measurement() if may_measure else None) or self.next_task()
        # A worker that nobody knows yet says so if its device is of another kind.
        if task is WAIT and (may_measure or device is None):
            return self._next_measurement() or WAIT
        return task

    def _next_measurement(self) -> Task | None:
        """Return the next trial that waits for its measurement; None: there is none, or the search stops."""
        self._check()
        if self.interrupts.is_stopping:
            return None
        if self._taken is None:
            self.retry.attempt(self._take_measurement)
        taken, self._taken = self._taken, None
        return None if taken is None else self._give(taken.number, taken.to_dict())

    def _take_measurement(self) -> None:
        self.write()  # the trial that the worker has just trained may be the one to measure
        self._taken = self.ask_tell.measurements.take()

    def on_started(self, task: Task) -> None:
        self._not_started.discard(task.name)

    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        outcome = from_record(result)
        if isinstance(outcome, TrainedSegment):
            self._pace.trial_ended(outcome.trained.wall_s)
        elif isinstance(outcome, Failed) and outcome.wall_s is not None:
            self._pace.trial_ended(outcome.wall_s)
        self._end(task, outcome, segment_of(result))

    def on_lost(self, task: Task, loss: Loss) -> bool:
        number = self._running[task.name]
        has_just_woken = self.clock() - self._woke_at_s < WAKING_S
        losses, outcome = self.ask_tell.losses.add(number, excuse(loss) if has_just_woken else loss)
        self._unwritten.append((self.clock(), number, losses, None))
        if self.interrupts.is_stopping:  # the next search decides
            del self._running[task.name]
            self._pace.task_lost(task.name)
            return False
        if outcome is None:
            self._not_started.add(task.name)
            return True
        self._end(task, outcome, None)
        return False

    def on_message(self, text: str) -> None:
        self.show_message(text)

    def on_workers(self, count: int) -> None:
        self.workers = count

    def _end(self, task: Task, outcome: WorkerOutcome, segment: Segment | None) -> None:
        """Keep an outcome until it is written; its `segment` is None if the worker died."""
        number = self._running.pop(task.name)
        self._pace.task_ended(task.name)
        self._not_started.discard(task.name)
        self._unwritten.append((self.clock(), number, outcome, segment))
        self.interrupts.check()

    def tick(self) -> None:
        self.retry.repeat()
        self._notice_stop()
        self._write_unless_busy()
        self._check()
        self._read_workers()
        if self.workers != self._reported_workers:
            self.retry.attempt(self._report_workers)
        self._look_ahead()
        self.demand.check(len(self._running))

    def write(self) -> None:
        """Record every outcome that is not recorded yet.

        Raises:
            StorageError: the storage cannot be written; the call may be repeated.
            MachineError: the machine is at fault for a failure; the other outcomes are recorded. Or the folder of the study
                was moved; none is recorded, for files of trials went elsewhere.
        """
        if self._unwritten:
            self.check_place()
        failure: MachineError | None = None
        while self._unwritten:
            _, number, outcome, segment = self._unwritten[0]
            try:
                if isinstance(outcome, list):
                    self.ask_tell.record_losses(number, outcome)
                else:
                    self.ask_tell.record(number, outcome, segment)
            except (StorageError, *DATABASE_ERRORS) as error:
                raise (failure or error) from None
            except MachineError as error:
                failure = failure or error
            self._unwritten.popleft()
        if failure is not None:
            raise failure

    def settle(self) -> None:
        """Record every outcome and every trial that is held. Call at the end of the search, not after an interruption."""
        self.retry.wait_for(self.write, self._check)
        self.retry.wait_for(self.ask_tell.settle, self._check)

    def _check(self) -> None:
        """Raise `KeyboardInterrupt` after a signal, and `StudyError` if a worker cannot start or all trials fail."""
        self.interrupts.check()
        self.ask_tell.streak.check()
        self.check_place()
        super().tick()

    def _notice_stop(self) -> None:
        """Notice that this process was stopped (SIGSTOP, a suspended job): workers may have been, and look as if they hang."""
        now_s = self.clock()
        if self._ticked_at_s is not None and now_s - self._ticked_at_s > MAX_TICK_S:
            self._woke_at_s = now_s
        self._ticked_at_s = now_s

    def _look_ahead(self) -> None:
        """Make the next proposal while all workers are busy, if it would otherwise keep a worker waiting."""
        is_busy = len(self._running) >= self.workers
        if is_busy and self._ahead is None and self._pace.must_suggest_ahead():
            self.retry.attempt(self._propose)
            self._ahead = self._ahead if isinstance(self._ahead, Proposal) else None

    def _read_workers(self) -> None:
        """Write which worker trains which trial, unless a worker is about to get its next trial."""
        if not self._not_started and self.clock() - self._workers_read_s >= WORKERS_INTERVAL_S:
            self.retry.attempt(self.ask_tell.segments.read_workers)
            self._workers_read_s = self.clock()

    def _report_workers(self) -> None:
        """Write the number of workers."""
        self.report_workers(self.workers)
        self._reported_workers = self.workers

    def _write_unless_busy(self) -> None:
        """Record outcomes, unless a worker is about to get its next trial, which takes precedence."""
        giving = self._not_started or (self._ahead is not None and len(self._running) < self.workers)
        if self._unwritten and (not giving or self.clock() - self._unwritten[0][0] > MAX_WRITE_DELAY_S):
            self.retry.attempt(self.write)

    def _propose(self) -> None:
        """Make the next proposal; all outcomes are written first."""
        self.write()
        if self.workers >= MIN_WORKERS:
            self.ask_tell.expect(self.workers - len(self._running), self._pace.arriving(len(self._running)))
        else:
            self.ask_tell.expect(1, 0.0)
        with self._pace.suggesting():
            self._ahead = self.ask_tell.propose()
