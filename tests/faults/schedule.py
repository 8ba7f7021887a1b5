"""Which fault comes when: drawn with a seed, so that a schedule can be repeated, as far as processes repeat themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from faults import FAULTS, Fault, exists
from study import TRAININGS, StudySetup, StudyUnderTest

from nas.study.layout import holds_study
from nas.study.trials import is_trained

MAX_PHASE_WAIT_S = 60.0
"""A phase that does not come within this time is not waited for any more."""
MAX_RANDOM_DELAY_S = 4.0

Phase = Callable[[StudyUnderTest, Random, Callable[[], bool]], None]
"""Waits until the phase has come, or until the third argument returns True."""

PHASES: dict[str, Phase] = {}


def _phase(function: Phase) -> Phase:
    PHASES[function.__name__] = function
    return function


@_phase
def start(study: StudyUnderTest, random: Random, is_over: Callable[[], bool]) -> None:
    """The first seconds of the command: imports, decoding, the executor."""
    delay_s = random.uniform(0, 2 * MAX_RANDOM_DELAY_S)
    _wait(lambda: time.monotonic() - study.started_at >= delay_s, is_over)


@_phase
def timing(study: StudyUnderTest, random: Random, is_over: Callable[[], bool]) -> None:
    """While operators are timed: there is a study, and no table of operators."""
    _wait(lambda: holds_study(study.folder), is_over)
    time.sleep(random.uniform(0, 1))


@_phase
def any_moment(study: StudyUnderTest, random: Random, is_over: Callable[[], bool]) -> None:
    """Any moment after trainings have started."""
    _wait(lambda: bool(study.probe.pids), is_over)
    delay_s, begin = random.uniform(0, MAX_RANDOM_DELAY_S), time.monotonic()
    _wait(lambda: time.monotonic() - begin >= delay_s, is_over)


@_phase
def step(study: StudyUnderTest, random: Random, is_over: Callable[[], bool]) -> None:
    """In a training step."""
    any_moment(study, random, is_over)
    _wait(lambda: bool(study.probe.pids), is_over)


@_phase
def segment_end(study: StudyUnderTest, random: Random, is_over: Callable[[], bool]) -> None:
    """When a training has ended: its checkpoint or weights are written, its outcome is recorded, its worker gets the next."""
    count = study.probe.segment_ends
    _wait(lambda: study.probe.segment_ends > count, is_over)
    time.sleep(random.choice((0, random.uniform(0, 0.05), random.uniform(0, 0.3))))


@_phase
def record(study: StudyUnderTest, random: Random, is_over: Callable[[], bool]) -> None:
    """While the driver writes to the database in the folder; a moment in which it asks a server does not show."""
    if study.setup.database != "sqlite":
        segment_end(study, random, is_over)
        return
    log = study.folder / "study.db-wal"

    def changed_at() -> int:
        return log.stat().st_mtime_ns if log.exists() else 0

    before = changed_at()
    _wait(lambda: changed_at() != before, is_over)
    time.sleep(random.uniform(0, 0.02))


@_phase
def end(study: StudyUnderTest, random: Random, is_over: Callable[[], bool]) -> None:
    """When all but a few trials are trained, up to the end of the command."""
    wanted = study.setup.trials - random.randrange(2)
    _wait(lambda: sum(map(is_trained, study.trials())) >= wanted, is_over, interval_s=0.1)
    time.sleep(random.choice((0, random.uniform(0, 2))))


RUNNING_PHASES = ("any_moment", "step", "segment_end", "record")


def _wait(reached: Callable[[], bool], is_over: Callable[[], bool], interval_s: float = 0.002) -> None:
    while not reached() and not is_over():
        time.sleep(interval_s)


def wait_for(phase: str, study: StudyUnderTest, random: Random) -> bool:
    """Wait until `phase` has come; False if the search ends first. A phase that does not come is given up."""
    deadline = time.monotonic() + (MAX_PHASE_WAIT_S if phase != "end" else 5 * MAX_PHASE_WAIT_S)
    PHASES[phase](study, random, lambda: study.exit_code is not None or time.monotonic() > deadline)
    return study.exit_code is None


@dataclass(frozen=True)
class PlannedFault:
    """A fault and the phase in which it is injected."""

    fault: Fault
    phase: str


@dataclass(frozen=True)
class StudyPlan:
    """A study, and the faults that it meets in their order."""

    setup: StudySetup
    faults: Sequence[PlannedFault]

    @property
    def needs_disk(self) -> bool:
        """True if a fault needs a small disk of its own."""
        return any(planned.fault.needs_disk for planned in self.faults)


def plans(
    seed: int,
    executors: Sequence[str],
    names: Sequence[str],
    faults: int = 5,
    trials: int = 16,
    databases: Sequence[str] = ("sqlite",),
    nodes: int = 0,
    drivers: int = 1,
) -> Iterator[StudyPlan]:
    """Plans of studies without end. Each name comes equally often, on each executor and database that have it.

    Args:
        seed: of the draws.
        executors: names of executors.
        names: names of faults (`faults.FAULTS`).
        faults: number of faults in a study.
        trials: number of trials in a study.
        databases: names of databases.
        nodes: number of nodes of the cluster that studies on Ray use; 0: each starts its own Ray.
        drivers: number of drivers of studies in PostgreSQL; several have a worker each.
    """
    random = Random(seed)
    pools: dict[tuple[str, str], list[str]] = {
        (executor, database): [] for database in databases for executor in executors
    }
    while True:
        for (executor, database), pool in pools.items():
            place = StudySetup(executor, database=database, nodes=nodes if executor == "ray_tune" else 0)
            if drivers > 1 and database == "postgresql":
                place = replace(place, drivers=drivers, workers=1)
            available = [name for name in names if exists(FAULTS[name], place)]
            if not available:
                continue
            while len(pool) < faults:
                pool += random.sample(available, len(available))
            chosen = [FAULTS[name] for name in pool[:faults]]
            del pool[:faults]
            trainings = [name for name in TRAININGS if all(name in fault.trainings for fault in chosen)]
            weights = [2 if name == "halving" else 1 for name in trainings]
            training = random.choices(trainings, weights)[0]
            count = trials // 2 if training == "long" else trials
            setup = replace(place, training=training, trials=count, seed=random.randrange(2))
            yield StudyPlan(
                setup, [PlannedFault(fault, _draw_phase(i, fault, random)) for i, fault in enumerate(chosen)]
            )


def _draw_phase(index: int, fault: Fault, random: Random) -> str:
    if fault.chooses_moment:
        return "any_moment"
    draw = random.random()
    if index == 0 and draw < 0.5:
        return random.choice(("start", "timing"))
    if draw < 0.15:
        return "start"  # of the search that the fault before has ended
    return "end" if draw > 0.95 else random.choice(RUNNING_PHASES)
