"""An executor on Ray Tune, on a private Ray of this machine or on a cluster.

    driver                                       host process
    executor.RayTune   <- messages, a pipe ->    host.Host -> adapter, searcher (Ray Tune) -> runner.TaskRunner on the nodes
    host_process.HostProcess                     watch (processes of Ray, head of the cluster)

The driver never imports ray. When Ray aborts or hangs, the driver ends the host and opens another one.

Ray holds no state of a study, neither Tune checkpoints nor result files. After a crash the storage of the study says which
trials were running, and each continues from its own checkpoint.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from nas.execution import environment
from nas.execution.base import Executor, register
from nas.execution.executors.ray_tune import address as addresses, tokens
from nas.execution.executors.ray_tune.executor import RayTune
from nas.execution.executors.ray_tune.host_process import HostProcess
from nas.execution.resources import Resources, check_machine, requested_cpus

RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    # Ray's memory monitor would end the whole run if one trial needs too much.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    # At Ray's default niceness of 15, workers hardly run beside other load; at 0 they run like any training.
    "RAY_worker_niceness": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Environment variables of the host, which Ray reads when it is imported; a variable that the user has set is not changed.

Together they reduce the overhead of a trial from 2.5 s (Tune's default) to about 10 ms, and silence Ray's own messages.
"""


def check_ray(resources: Resources) -> None:
    """Check the address of the cluster, or the resources of this machine.

    Raises:
        UsageError: no cluster answers at the address, or the machine does not have the resources of a task.
    """
    if resources.address is not None:
        addresses.check_reachable(addresses.resolve(resources.address))
    else:
        check_machine(resources)


@register("ray_tune", check_ray)
@contextmanager
def open_ray(resources: Resources, scratch: Path) -> Iterator[Executor]:
    """Open the executor on a private Ray of this machine, or on the cluster at `resources.address`.

    Ray is shut down at the end of the context.

    Raises:
        UsageError: no cluster answers at the address, or the machine does not have the resources of a task.
    """
    check_ray(resources)
    shutil.rmtree(scratch, ignore_errors=True)  # left by an earlier version
    environment.keep_memory()
    environment.name_user()
    address = None if resources.address is None else addresses.resolve(resources.address)
    executor = RayTune(resources, address, partial(_start_host, address, requested_cpus(resources)))
    try:
        yield executor
    finally:
        executor.close()


def _start_host(address: str | None, cpus: int) -> HostProcess:
    """Start a host process with the environment that Ray needs."""
    defaults = {name: value for name, value in RAY_ENVIRONMENT.items() if name not in os.environ}
    variables = tokens.private_variables() if address is None else tokens.cluster_variables(os.environ)
    return HostProcess(address, cpus, {**defaults, **variables})
