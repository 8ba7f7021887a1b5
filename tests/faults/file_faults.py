"""Faults of files, disks and databases. What a driver reads only when it starts is damaged after a kill."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from random import Random

from damage import change_tensors, damage_checkpoint, damage_file, damage_weights
from fault import FAULTS, Injection, fault
from kills import kill, kill_driver_of
from optuna.trial import TrialState
from processes import send_signal
from study import StudyUnderTest

MAX_FULL_S = 15.0
MAX_AWAY_S = 20.0
TABLES = ("operators.json", "reference.json", "columns.npz")


@fault("checkpoint", trainings=("halving", "long"))
def damage_checkpoints(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver or of all workers, and damage to every checkpoint before a training resumes from it."""
    files = sorted((study.folder / "trials").glob("*/checkpoint.pt"))
    if not files:
        return None
    if random.random() < 0.5:
        injection = kill_driver_of(study, "driver")
    else:
        workers = [process.pid for process in study.processes().get("worker", [])]
        injection = kill(study, workers, "workers", "worker")
    if injection is None:
        return None
    details = [damage_checkpoint(file, files, random) for file in files]
    return Injection(f"{injection.detail}, checkpoints {details}", injection.at, injection.pids, injection.trials)


@fault("weights", chooses_moment=True)
def damage_unrecorded_weights(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver when weights are written and their outcome is not, and damage to these weights."""
    before, end = set(study.probe.weights), time.monotonic() + 10
    while not (new := set(study.probe.weights) - before):
        if time.monotonic() > end or study.target.exit_code is not None:
            return None
        time.sleep(0.002)
    send_signal(study.target.pid, signal.SIGSTOP)
    running = [trial for trial in study.trials() if trial.state == TrialState.RUNNING and trial.number in new]
    own = f"/{study.target.pid}/"
    unrecorded = [trial.number for trial in running if own in str(trial.user_attrs.get("driver"))]
    if not unrecorded:
        send_signal(study.target.pid, signal.SIGCONT)
        return None
    injection = kill_driver_of(study, "driver")
    details = []
    for number in unrecorded:
        details.append(damage_weights(study.folder / "trials" / f"{number:05d}" / "model.safetensors", random))
        study.probe.excuse(number)
    return injection and Injection(f"driver, weights {details}", injection.at, injection.pids, injection.trials)


@fault("tables")
def damage_tables(study: StudyUnderTest, random: Random) -> Injection | None:
    """SIGKILL of the driver, and damage to the files that it can do without."""
    injection = kill_driver_of(study, "driver")
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
    injection = FAULTS["machine"].inject(study, random)
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
