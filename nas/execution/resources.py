"""The resources that a run may use, and their allocation to workers. Needs no ray."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UsageError
from nas.study.config import Resources

__all__ = [
    "Allocation",
    "Resources",
    "allocate",
    "check_machine",
    "count_gpus",
    "has_gpu_driver",
    "requested_cpus",
    "shares_per_gpu",
]


@dataclass(frozen=True)
class Allocation:
    """The workers of a run.

    Args:
        workers: number of tasks at a time; at least 1.
        cpus: CPUs of each worker; at least 1.
        gpus: GPUs of each worker, 0 to 1; a fraction shares a GPU.
    """

    workers: int
    cpus: int
    gpus: float


def allocate(resources: Resources, available: Mapping[str, float]) -> Allocation:
    """Allocate the CPUs ("CPU") and GPUs ("GPU") of a machine or cluster, `available`, to the workers that `resources` ask for.

    Raises:
        UsageError: there are too few for one worker.
    """
    cpus, gpus = available.get("CPU", 0.0), available.get("GPU", 0.0)
    share = resources.gpus_per_trial
    if share is None:
        share = 1.0 if gpus else 0.0
    if share > gpus:
        raise UsageError(f"resources.gpus_per_trial: the machine has {gpus:g} GPUs, found {share:g}")
    workers = int(cpus // resources.cpus_per_trial)
    if share > 0:
        workers = min(workers, int(gpus) * shares_per_gpu(share))
    if workers < 1:
        raise UsageError(f"resources.cpus_per_trial: the machine has {cpus:g} CPUs, found {resources.cpus_per_trial}")
    return Allocation(min(workers, resources.workers or workers), resources.cpus_per_trial, share)


def check_machine(resources: Resources) -> None:
    """Check that this machine has the `resources` of a worker; GPUs are counted only where the study asks for one.

    Raises:
        UsageError: it does not.
    """
    if resources.per_trial:
        rule = "must be empty without a cluster (resources.address), whose nodes have custom resources"
        raise UsageError(f"resources.per_trial: {rule}, found {dict(resources.per_trial)}")
    share = resources.gpus_per_trial or 0.0
    gpus = count_gpus() if share else 0
    allocate(
        resources.model_copy(update={"gpus_per_trial": share}), {"CPU": requested_cpus(resources), "GPU": float(gpus)}
    )


def count_gpus() -> int:
    """The number of GPUs that this process may use.

    Where there is no driver of GPUs, torch is not asked: its import takes two seconds.
    """
    if not has_gpu_driver():
        return 0
    import torch

    return torch.cuda.device_count()


def has_gpu_driver() -> bool:
    """False if torch cannot find a GPU on this machine: the library of NVIDIA's driver and the device of AMD's are missing."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True


def shares_per_gpu(share: float) -> int:
    """The number of workers that fit on one GPU if each takes a `share` of it; above 0, at most 1."""
    return int(1 / share + 1e-9)


def requested_cpus(resources: Resources) -> int:
    """The number of CPUs that `resources` ask for: those of all workers, or all that this process may use."""
    if resources.workers is not None:
        return resources.workers * resources.cpus_per_trial
    return len(os.sched_getaffinity(0))
