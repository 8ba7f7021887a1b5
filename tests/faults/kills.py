"""Kills processes of a study, and counts what this costs its trials.

A fault that ends processes counts as a loss of the trials that they trained. No trial gets more losses than an innocent one may
be expected to survive (`MAX_LOSSES`), for a trial whose worker dies again and again is rightly taken for the culprit.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import replace

from fault import Injection
from processes import send_all
from study import StudyUnderTest

MAX_LOSSES = {"worker": 1, "cluster": 2}
"""Losses that a trial may have before another fault of this kind hits it."""


def may_lose(study: StudyUnderTest, trials: Iterable[int], loss: str) -> bool:
    """True if none of `trials` has had too many losses for another of the kind `loss`."""
    return all(study.losses[trial] < MAX_LOSSES[loss] for trial in trials)


def kill(study: StudyUnderTest, pids: Iterable[int], detail: str, loss: str = "") -> Injection | None:
    """Kill `pids`; `loss` is a key of `MAX_LOSSES` if this counts against the trials that run."""
    pids = frozenset(pids)
    assignments = study.assignments()
    killed_workers = pids & assignments.keys()
    running = set(assignments.values()) if loss != "worker" else {assignments[pid] for pid in killed_workers}
    if loss and not may_lose(study, running, loss):
        return None
    at = time.monotonic()
    if not send_all(pids, signal.SIGKILL):
        return None
    if loss:
        study.losses.update(running)
    return Injection(detail, at, pids, frozenset(running))


def kill_driver_of(study: StudyUnderTest, detail: str) -> Injection | None:
    """Kill the driver that is the target, and wait for its end."""
    target = study.target
    trials = frozenset(study.assignments(target).values())
    injection = None if target.exit_code is not None else kill(study, [target.pid], f"{detail} {target.pid}")
    if injection is None:
        return None
    target.process.wait()
    return replace(injection, pids=hit(study, trials), trials=trials)


def hit(study: StudyUnderTest, trials: Collection[int]) -> frozenset[int]:
    """The process of the target, if somebody must take its place: another driver need not, unless it ran `trials`."""
    return frozenset({study.target.pid} if trials or study.setup.drivers == 1 else ())
