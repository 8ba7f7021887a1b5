"""Runs one study under faults: injects them, starts the command again when it has ended, and measures how long nothing trains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from evidence import Evidence
from fault import Fault, Injection
from invariants import Violation, violations
from postgresql import PostgreSQL
from processes import marked_processes
from reference import References
from schedule import PlannedFault, StudyPlan, wait_for
from study import StudyUnderTest, open_study_under_test

DISK_MIB = 8
INTERVAL_S = 0.02
RESTART_PAUSE_S = 0.5  # after a search that refused to start, such as one beside a driver that still ends
MAX_END_S = 8.0  # processes that a search has left must end within this time
MAX_LOOKING_S = 60.0  # for something to hit
MAX_STARTS_PER_FAULT = 8


@dataclass
class FaultRecord:
    """A fault that was injected, and what came of it.

    Args:
        fault: its name.
        phase: the phase in which it was injected.
        executor: the executor of the study.
        detail: what was hit.
        next_step_s: seconds until any process has trained; None: none did.
        recovery_s: seconds until a process has trained in the place of one that was hit; None: it was not needed any more.
        exit_codes: of the searches that ended before that.
        said: the last lines that these have written on standard error.
        has_hung: True if nothing trained and nothing ended for too long.
        trials: the trials that were hit.
    """

    fault: str
    phase: str
    executor: str
    detail: str
    next_step_s: float | None = None
    recovery_s: float | None = None
    exit_codes: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    has_hung: bool = False
    trials: list[int] = field(default_factory=list)

    def add_end(self, study: StudyUnderTest) -> None:
        """Add that the search has ended."""
        assert study.exit_code is not None
        self.exit_codes.append(study.exit_code)
        self.said += study.last_lines()


@dataclass
class StudyRecord:
    """A study that ran under faults.

    Args:
        plan: what was planned.
        faults: the faults that were injected.
        missed: names of planned faults that found nothing to hit, or came too late.
        violations: what breaks an invariant afterwards.
        starts: number of times that the command was started.
        seconds: from the first start to the end.
        gave_up: why the study was not brought to its end; empty: it was.
    """

    plan: StudyPlan
    faults: list[FaultRecord] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    starts: int = 0
    seconds: float = 0.0
    gave_up: str = ""


@dataclass
class Disturbance:
    """Runs studies under faults.

    Args:
        cache: a folder for references.
        hang_s: seconds without a training step and without an end after which a search counts as hanging.
        server: for studies in PostgreSQL; None: there are none.
        report: called with each fault when its consequences are known.
    """

    cache: Path
    hang_s: float = 90.0
    server: PostgreSQL | None = None
    report: Callable[[FaultRecord], None] = lambda record: None

    def run(self, plan: StudyPlan, random: Random) -> StudyRecord:
        """Run the study of `plan` to its end under its faults, and check the invariants."""
        record, begin = StudyRecord(plan), time.monotonic()
        disk_mib = DISK_MIB if plan.needs_disk else 0
        with open_study_under_test(plan.setup, disk_mib=disk_mib, server=self.server) as study:
            references = References(study.config, self.cache)
            study.start()
            try:
                for planned in plan.faults:
                    self._inject(planned, study, random, record)
                self._finish(study, record)
            except GaveUp as error:
                record.gave_up = str(error)
            record.starts, record.seconds = study.starts, time.monotonic() - begin
            left = leftovers(study)
            study.kill()
            evidence = Evidence.of(study.folder, references.of, study.probe.writes(), left)
            record.violations = violations(evidence)
        return record

    def _inject(self, planned: PlannedFault, study: StudyUnderTest, random: Random, record: StudyRecord) -> None:
        if study.setup.drivers > 1 and study.exit_code != 0:
            study.start()  # those that the fault before has ended
        while study.exit_code == 0 or not wait_for(planned.phase, study, random):
            if study.exit_code == 0:
                record.missed.append(planned.fault.name)
                return
            self._restart(study, record)
        injection, before = _try_to_inject(planned.fault, study, random)
        if injection is None:
            record.missed.append(planned.fault.name)
            return
        fault = FaultRecord(planned.fault.name, planned.phase, study.setup.executor, injection.detail)
        fault.trials = sorted(injection.trials)
        record.faults.append(fault)
        self._watch(study, injection, before, fault, record)
        self.report(fault)

    def _watch(
        self,
        study: StudyUnderTest,
        injection: Injection,
        before: Mapping[int, int | None],
        fault: FaultRecord,
        record: StudyRecord,
    ) -> None:
        """Until a process trains that was not there before, or trains a trial that was hit; or the search ends."""
        last_step = time.monotonic()
        while time.monotonic() - injection.at < self.hang_s or not study.probe.pids:
            training, now = study.probe.pids - injection.pids, time.monotonic()
            if training:
                last_step = now
                fault.next_step_s = fault.next_step_s or round(now - injection.at, 2)
            if _has_recovered(study, injection, before):
                fault.recovery_s = round(now - injection.at, 2)
                return
            if study.exit_code is not None:
                fault.add_end(study)
                if study.exit_code == 0:
                    return
                self._restart(study, record)
                last_step = time.monotonic()
            elif now - last_step > self.hang_s:
                fault.has_hung = True
                fault.said += study.last_lines()
                study.kill()
            time.sleep(INTERVAL_S)

    def _finish(self, study: StudyUnderTest, record: StudyRecord) -> None:
        """Until the command ends with exit code 0."""
        last_step = time.monotonic()
        last_fault = record.faults[-1] if record.faults else FaultRecord("none", "", "", "")
        while study.exit_code != 0:
            if study.probe.pids:
                last_step = time.monotonic()
            if study.exit_code is not None:
                last_fault.add_end(study)
                self._restart(study, record)
                last_step = time.monotonic()
            elif time.monotonic() - last_step > self.hang_s:
                last_fault.has_hung = True
                study.kill()
            time.sleep(INTERVAL_S)

    def _restart(self, study: StudyUnderTest, record: StudyRecord) -> None:
        if study.starts > MAX_STARTS_PER_FAULT * (len(record.plan.faults) + 1):
            raise GaveUp(f"started {study.starts} times, the last exit code {study.exit_code}: {study.last_lines()}")
        if study.exit_code not in (-9, 130):
            time.sleep(RESTART_PAUSE_S)
        study.start()


class GaveUp(Exception):
    """A study does not come to its end."""


def _try_to_inject(
    fault: Fault, study: StudyUnderTest, random: Random
) -> tuple[Injection | None, Mapping[int, int | None]]:
    """Inject `fault` as soon as there is something to hit; returns the processes just before, each with its trial, too."""
    end = time.monotonic() + MAX_LOOKING_S
    while True:
        study.aim(random)
        assigned = study.assignments()
        before = {process.pid: assigned.get(process.pid) for process in study.all_processes()}
        injection = fault.inject(study, random)
        if injection is not None or study.exit_code is not None or time.monotonic() > end:
            return injection, before
        time.sleep(INTERVAL_S)


def _has_recovered(study: StudyUnderTest, injection: Injection, before: Mapping[int, int | None]) -> bool:
    """True if a process trains that was not there `before`, or another one trains a trial that was hit.

    Args:
        study: the study.
        injection: the fault; if it has hit no process, any training will do.
        before: the processes just before it, each with the trial that it trained.
    """
    training = study.probe.pids - injection.pids
    if not injection.pids:
        return bool(training)
    assigned = study.assignments()
    return any(
        pid not in before or (assigned.get(pid) in injection.trials and assigned[pid] != before[pid])
        for pid in training
    )


def leftovers(study: StudyUnderTest, patience_s: float = MAX_END_S) -> list[str]:
    """The processes and temporary files that a search that has ended still has after `patience_s`."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end and (marked_processes(study.marker) or _temporary_files(study)):
        time.sleep(0.1)
    processes = [f"process {process.pid}: {process.command[:100]}" for process in marked_processes(study.marker)]
    return processes + [f"temporary file {name}" for name in _temporary_files(study)]


def _temporary_files(study: StudyUnderTest) -> list[str]:
    return [path.name for path in study.temporary.iterdir() if path.name != f"mixfront-{os.getuid()}"]
