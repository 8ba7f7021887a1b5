"""What a search has to train on: the workers that its configuration asks for and a cluster allows. Knows no ray."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.errors import UsageError

if TYPE_CHECKING:  # a worker imports this module too
    from nas.study.config import Resources


@dataclass(frozen=True)
class Machine:
    """What a search has.

    Args:
        workers: trainings at a time.
        cpus, gpus: of each; one GPU at most.
    """

    workers: int
    cpus: int
    gpus: float


def check_answers(address: str) -> None:
    """Raise `UsageError` at once if nobody answers at `address` (host:port); Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return  # "auto", or a URL of Ray's own, which Ray judges
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"resources.address: no Ray cluster answers there ({error}), found {address}") from None


def machine_of(resources: Resources, offered: Mapping[str, float]) -> Machine:
    """The workers that `resources` ask for and a cluster of `offered` CPUs and GPUs allows."""
    cpus, gpus = offered.get("CPU", 0.0), offered.get("GPU", 0.0)
    share = resources.gpus_per_trial
    if share is None:
        share = 1.0 if gpus else 0.0
    if share > 1:
        raise UsageError(f"resources.gpus_per_trial: a training uses one GPU at most, found {share:g}")
    if share > gpus:
        raise UsageError(f"resources.gpus_per_trial: the machine has {gpus:g} GPUs, found {share:g}")
    room = int(cpus // resources.cpus_per_trial)
    if share > 0:
        room = min(room, int(gpus) * places_of(share))
    if room < 1:
        raise UsageError(f"resources.cpus_per_trial: the machine has {cpus:g} CPUs, found {resources.cpus_per_trial}")
    return Machine(min(room, resources.workers or room), resources.cpus_per_trial, share)


def places_of(share: float) -> int:
    """How many trainings fit on one GPU where each takes a `share` of it, above 0."""
    return int(1 / share + 1e-9)


def cpus_of(resources: Resources) -> int:
    """The CPUs of this machine that `resources` ask for: those of so many workers, or all that this process may use."""
    if resources.workers is not None:
        return resources.workers * resources.cpus_per_trial
    return len(os.sched_getaffinity(0))
