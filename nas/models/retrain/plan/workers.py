"""The workers that train: how many, on which devices, and with how many threads. Needs no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nas.errors import UsageError
from nas.execution.resources import Resources, allocate, requested_cpus
from nas.models.device_option import check_device, check_device_name
from nas.study.content import StudyContent

LOCAL = "local"
"""The executor of processes of this machine."""


@dataclass(frozen=True)
class Workers:
    """The processes of a command.

    Args:
        executor: the name of their executor.
        resources: for the executor: number of workers, CPUs and GPUs of each.
        threads: CPU threads of each worker. On this machine they depend on it and on all runs of the command, also the
            finished ones, since a continued training has the same bits only with the same number of threads.
        device: the device of all workers; None: each has that of its place.
    """

    executor: str
    resources: Resources
    threads: int
    device: str | None = None


def plan_workers(resources: Resources, device: str | None, runs: int) -> Workers:
    """The processes for a number of `runs`: on the cluster of the study, or on this machine.

    Args:
        resources: those of the study; `workers` is the greatest number of processes.
        device: "cpu", "cuda", "cuda:1"; None: a GPU if there is one.
        runs: of the command, the finished ones included.

    Raises:
        UsageError: there is no such device, or the machine lacks the resources.
    """
    plan = _plan_local if resources.address is None else _plan_cluster
    return plan(resources, device, max(1, runs))


def _plan_local(resources: Resources, device: str | None, runs: int) -> Workers:
    cpus = len(os.sched_getaffinity(0))
    gpus = check_device(device)
    single = device if device is not None and ":" in device else None
    changes: dict[str, Any] = {"per_trial": {}, "executor": LOCAL}
    if device == "cpu" or single is not None:
        changes["gpus_per_trial"] = 0.0
    elif resources.gpus_per_trial is None or device == "cuda":
        changes["gpus_per_trial"] = (resources.gpus_per_trial or 1.0) if gpus else 0.0
    local = resources.model_copy(update=changes)
    allocation = allocate(local, {"CPU": requested_cpus(local), "GPU": gpus})
    workers = 1 if single is not None else min(allocation.workers, runs)
    has_gpu = single is not None or allocation.gpus > 0
    threads = local.cpus_per_trial if has_gpu else max(local.cpus_per_trial, cpus // workers)
    return Workers(LOCAL, local.model_copy(update={"workers": workers}), threads, single)


def _plan_cluster(resources: Resources, device: str | None, runs: int) -> Workers:
    """As many workers as the cluster has room for, each with what a trial of the search has."""
    if check_device_name(device) is not None:
        raise UsageError(f"--device: must be cpu or cuda on a cluster (resources.address), found {device!r}")
    changes: dict[str, Any] = {"workers": min(resources.workers or runs, runs)}
    if device == "cpu":
        changes["gpus_per_trial"] = 0.0
    elif device == "cuda":
        changes["gpus_per_trial"] = resources.gpus_per_trial or 1.0
    return Workers(resources.executor, resources.model_copy(update=changes), resources.cpus_per_trial)


def study_resources(study: StudyContent) -> Resources:
    """Those of the study's configuration; the defaults if another version wrote it, and this one cannot read them."""
    try:
        return Resources.model_validate(study.config.get("resources") or {})
    except ValidationError:
        return Resources()  # type: ignore[call-arg]
