"""The faults: each is one function that does its damage to a running study, registered under its name.

A fault looks for something to hit, and returns None if there is nothing now; nothing has happened then. Faults that end processes
count as losses of the trials that these processes trained. No trial gets more losses than an innocent one may be expected to
survive (`MAX_LOSSES`), for a trial whose worker dies again and again is rightly taken for the culprit.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from damage import change_tensors, damage_checkpoint, damage_file, damage_weights
from optuna.trial import TrialState
from processes import kill_all, send_all, send_signal
from study import TRAININGS, StudyUnderTest

EXECUTORS = ("local", "ray_tune")
DATABASES = ("sqlite", "postgresql")
MAX_LOSSES = {"worker": 1, "cluster": 2}
"""Losses that a trial may have before another fault of this kind hits it."""
MAX_STOP_S = 6.0
MAX_ENDING_S = 30.0  # of a search that was asked to end
MAX_FULL_S = 15.0
MAX_AWAY_S = 20.0
TABLES = ("operators.json", "reference.json", "columns.npz")


@dataclass(frozen=True)
class Injection:
    """A fault that was injected.

    Args:
        detail: what was hit.
        at: the moment from which the time to the next step counts: the kill, or the end of an outage (`time.monotonic`).
        pids: processes that were killed or stopped.
        trials: the trials that these processes trained.
    """

    detail: str
    at: float
    pids: frozenset[int] = frozenset()
    trials: frozenset[int] = frozenset()


Inject = Callable[[StudyUnderTest, Random], Injection | None]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Args:
        name: its name.
        inject: injects it; returns None if there is nothing to hit now.
        executors: executors for which it exists.
        trainings: names of trainings (`study.TRAININGS`) in which there is something to hit.
        databases: databases for which it exists.
        needs_disk: True if the folder of the study must be on a small disk of its own.
        chooses_moment: True if it waits for its moment itself.
    """

    name: str
    inject: Inject
    executors: tuple[str, ...] = EXECUTORS
    trainings: tuple[str, ...] = tuple(TRAININGS)
    databases: tuple[str, ...] = DATABASES
    needs_disk: bool = False
    chooses_moment: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    executors: tuple[str, ...] = EXECUTORS,
    trainings: tuple[str, ...] = tuple(TRAININGS),
    databases: tuple[str, ...] = DATABASES,
    needs_disk: bool = False,
    chooses_moment: bool = False,
) -> Callable[[Inject], Inject]:
    """Register a function as the fault `name`; the arguments are those of `Fault`.

    Raises:
        ValueError: there is a fault of this name.
    """

    def register(inject: Inject) -> Inject:
        if name in FAULTS:
            raise ValueError(f"fault {name} already exists")
        FAULTS[name] = Fault(name, inject, executors, trainings, databases, needs_disk, chooses_moment)
        return inject

    return register


def _kill(study: StudyUnderTest, pids: Iterable[int], detail: str, loss: str = "") -> Injection | None:
    """Kill `pids`; `loss` is a key of `MAX_LOSSES` if this counts against the trials that run."""
    pids = frozenset(pids)
    assignments = study.assignments()
    killed_workers = pids & assignments.keys()
    running = set(assignments.values()) if loss != "worker" else {assignments[pid] for pid in killed_workers}
    if loss and any(study.losses[trial] >= MAX_LOSSES[loss] for trial in running):
        return None
    at = time.monotonic()
    if not send_all(pids, signal.SIGKILL):
        return None
    if loss:
        study.losses.update(running)
    return Injection(detail, at, pids, frozenset(running))


def _kill_driver(study: StudyUnderTest, detail: str) -> Injection | None:
    injection = None if study.exit_code is not None else _kill(study, [study.driver], detail)
    if injection is not None and study.process is not None:
        study.process.wait()
    return injection


@fault("worker")
def kill_worker(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of a worker."""
    assignments = study.assignments()
    workers = [
        process
        for process in study.processes().get("worker", [])
        if study.losses[assignments.get(process.pid, -1)] < MAX_LOSSES["worker"]
    ]
    if not workers:
        return None
    worker = random.choice(workers)
    return _kill(study, [worker.pid], f"worker {worker.pid} of trial {assignments.get(worker.pid)}", "worker")


@fault("driver")
def kill_driver(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver."""
    return _kill_driver(study, f"driver {study.driver}")


def _kill_daemon(role: str) -> Inject:
    def inject(study: StudyUnderTest, random: Random) -> Injection | None:
        return _kill(study, [process.pid for process in study.processes().get(role, [])], role, "cluster")

    return inject


for _role in ("host", "raylet", "gcs", "agent"):
    fault(_role, ("ray_tune",))(_kill_daemon(_role))


@fault("group")
def kill_group(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the process group of the driver, as when a job is cancelled."""
    if study.exit_code is not None:
        return None
    at = time.monotonic()
    os.killpg(study.driver, signal.SIGKILL)
    assert study.process is not None
    study.process.wait()
    return Injection(f"group {study.driver}", at, trials=frozenset(study.assignments().values()))


@fault("machine")
def kill_everything(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of every process, as when the machine goes down."""
    at = time.monotonic()
    kill_all(study.marker)
    assert study.process is not None
    study.process.wait()
    return Injection("all processes", at, trials=frozenset(study.assignments().values()))


def _stop(study: StudyUnderTest, pids: list[int], detail: str, seconds: float) -> Injection | None:
    """SIGSTOP, and SIGCONT after `seconds`."""
    if not send_all(pids, signal.SIGSTOP):
        return None
    time.sleep(seconds)
    at = time.monotonic()
    send_all(pids, signal.SIGCONT)
    return Injection(f"{detail} for {seconds:.1f} s", at)


@fault("stop_driver")
def stop_driver(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGSTOP of the driver for some seconds."""
    return _stop(study, [study.driver], "driver", random.uniform(1, MAX_STOP_S))


def _stop_one(role: str) -> Inject:
    def inject(study: StudyUnderTest, random: Random) -> Injection | None:
        processes = study.processes().get(role, [])
        if not processes:
            return None
        return _stop(study, [random.choice(processes).pid], role, random.uniform(1, MAX_STOP_S))

    return inject


fault("stop_worker")(_stop_one("worker"))
fault("stop_host", ("ray_tune",))(_stop_one("host"))
fault("stop_raylet", ("ray_tune",))(_stop_one("raylet"))


def _signal_driver(number: signal.Signals, group: bool = False, times: int = 1) -> Inject:
    """A signal for the driver or its process group, once or again after a moment; then wait whether the driver ends."""

    def inject(study: StudyUnderTest, random: Random) -> Injection | None:
        trials, at = frozenset(study.assignments().values()), time.monotonic()
        if study.exit_code is not None:
            return None
        for count in range(times):
            if study.exit_code is None:
                (os.killpg if group else os.kill)(study.driver, number)
                time.sleep(random.uniform(0, 1) if count + 1 < times else 0)
        end = time.monotonic() + MAX_ENDING_S
        while study.exit_code is None and time.monotonic() < end:
            time.sleep(0.02)
        detail = f"{number.name}, the driver {'goes on' if study.exit_code is None else 'has ended'}"
        if study.exit_code is None:
            return Injection(detail, time.monotonic())
        return Injection(detail, at, frozenset({study.driver}), trials)

    return inject


fault("sigterm")(_signal_driver(signal.SIGTERM))
fault("sigint")(_signal_driver(signal.SIGINT))
fault("sighup")(_signal_driver(signal.SIGHUP))
fault("ctrl_c")(_signal_driver(signal.SIGINT, group=True))
fault("ctrl_c_twice")(_signal_driver(signal.SIGINT, group=True, times=2))


@fault("checkpoint", trainings=("halving", "long"))
def damage_checkpoints(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver or of all workers, and damage to every checkpoint before a training resumes from it."""
    files = sorted((study.folder / "trials").glob("*/checkpoint.pt"))
    if not files:
        return None
    if random.random() < 0.5:
        injection = _kill_driver(study, "driver")
    else:
        workers = [process.pid for process in study.processes().get("worker", [])]
        injection = _kill(study, workers, "workers", "worker")
    if injection is None:
        return None
    details = [damage_checkpoint(file, files, random) for file in files]
    return Injection(f"{injection.detail}, checkpoints {details}", injection.at, injection.pids, injection.trials)


@fault("weights", chooses_moment=True)
def damage_unrecorded_weights(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver when weights are written and their outcome is not, and damage to these weights."""
    before, end = set(study.probe.weights), time.monotonic() + 10
    while not (new := set(study.probe.weights) - before):
        if time.monotonic() > end or study.exit_code is not None:
            return None
        time.sleep(0.002)
    send_signal(study.driver, signal.SIGSTOP)
    states = {trial.number: trial.state for trial in study.trials()}
    unrecorded = [number for number in new if states.get(number) == TrialState.RUNNING]
    if not unrecorded:
        send_signal(study.driver, signal.SIGCONT)
        return None
    injection = _kill_driver(study, "driver")
    details = []
    for number in unrecorded:
        details.append(damage_weights(study.folder / "trials" / f"{number:05d}" / "model.safetensors", random))
        study.probe.excuse(number)
    return injection and Injection(f"driver, weights {details}", injection.at, injection.pids, injection.trials)


@fault("tables")
def damage_tables(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver, and damage to the files that it can do without."""
    injection = _kill_driver(study, "driver")
    if injection is None:
        return None
    details = [f"{name} {damage_file(study.folder / name, random)}" for name in TABLES]
    return Injection(f"driver, {details}", injection.at, injection.pids, injection.trials)


@fault("images")
def damage_images(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of everything, and some other pixels in the decoded images."""
    files = list((study.folder / "data").glob("*.safetensors"))
    if not files:
        return None
    injection = kill_everything(study, random)
    detail = change_tensors(files[0], random, ".images")
    return injection and Injection(detail, injection.at, injection.pids, injection.trials)


@fault("disk", databases=("sqlite",), needs_disk=True)
def fill_disk(study: StudyUnderTest, random: Random) -> Injection | None:
    """A disk that is full for some seconds, or until the search has ended."""
    if not (study.folder / "study.db").exists():
        return None
    ballast = study.folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    end = time.monotonic() + random.uniform(2, MAX_FULL_S)
    while study.exit_code is None and time.monotonic() < end:
        time.sleep(0.05)
    ended = study.exit_code
    size_kib = ballast.stat().st_size // 1024
    ballast.unlink()
    return Injection(f"full with {size_kib} KiB, then exit code {ended}", time.monotonic())


@fault("database", databases=("postgresql",))
def stop_database(study: StudyUnderTest, random: Random) -> Injection | None:
    """A crash of PostgreSQL, which is started again after some seconds."""
    if study.server is None:
        return None
    away_s = random.uniform(0, MAX_AWAY_S)
    study.server.stop()
    time.sleep(away_s)
    study.server.start()
    return Injection(f"PostgreSQL away for {away_s:.1f} s", time.monotonic())


@fault("connections", databases=("postgresql",))
def cut_connections(study: StudyUnderTest, random: Random) -> Injection | None:
    """All connections to the database of the study are cut."""
    if study.server is None or study.url is None:
        return None
    sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
    at = time.monotonic()
    count = int(study.server.query(study.url, f"{sql} AND pid <> pg_backend_pid()"))
    return Injection(f"{count} connections", at) if count else None
