"""What a run may use, and what it gets: workers with CPUs and GPUs. Knows no ray."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import UsageError
from nas.study.config import Resources

__all__ = ["Allocation", "Resources", "allocate", "check_reachable", "requested_cpus", "shares_per_gpu"]


@dataclass(frozen=True)
class Allocation:
    """What a run gets.

    Args:
        workers: tasks at a time.
        cpus, gpus: of each worker; at most one GPU.
    """

    workers: int
    cpus: int
    gpus: float


def check_reachable(address: str) -> None:
    """Raise `UsageError` at once if nothing answers at `address` (host:port); Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return  # "auto", or a URL of Ray's own, which Ray checks
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"resources.address: no Ray cluster answers there ({error}), found {address}") from None


def allocate(resources: Resources, offered: Mapping[str, float]) -> Allocation:
    """The workers that `resources` ask for and a machine or cluster with `offered` CPUs ("CPU") and GPUs ("GPU") allows.

    Raises:
        UsageError: there are too few for one worker.
    """
    cpus, gpus = offered.get("CPU", 0.0), offered.get("GPU", 0.0)
    share = resources.gpus_per_trial
    if share is None:
        share = 1.0 if gpus else 0.0
    if share > 1:
        raise UsageError(f"resources.gpus_per_trial: a training uses at most one GPU, found {share:g}")
    if share > gpus:
        raise UsageError(f"resources.gpus_per_trial: the machine has {gpus:g} GPUs, found {share:g}")
    workers = int(cpus // resources.cpus_per_trial)
    if share > 0:
        workers = min(workers, int(gpus) * shares_per_gpu(share))
    if workers < 1:
        raise UsageError(f"resources.cpus_per_trial: the machine has {cpus:g} CPUs, found {resources.cpus_per_trial}")
    return Allocation(min(workers, resources.workers or workers), resources.cpus_per_trial, share)


def shares_per_gpu(share: float) -> int:
    """How many workers fit on one GPU where each takes a `share` of it, above 0."""
    return int(1 / share + 1e-9)


def requested_cpus(resources: Resources) -> int:
    """The CPUs of this machine that `resources` ask for: those of all workers, or all that this process may use."""
    if resources.workers is not None:
        return resources.workers * resources.cpus_per_trial
    return len(os.sched_getaffinity(0))
