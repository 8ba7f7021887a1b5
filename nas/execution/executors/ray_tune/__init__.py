"""An executor on Ray Tune. Only `adapter.py` of this package imports ray, and only when an executor is opened.

Ray holds no state of a study, neither Tune checkpoints nor result files. After a crash the storage of the study says which
trials were running, and each continues from its own checkpoint.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nas.execution import environment
from nas.execution.base import Executor, register
from nas.execution.executors.ray_tune.temporary_folder import session_folder
from nas.execution.resources import Resources, check_machine, check_reachable

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
    "TUNE_MAX_PENDING_TRIALS_PG": "2",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Environment variables that Ray reads when it is imported; a variable that the user has set is not changed.

Together they reduce the overhead of a trial from 2.5 s (Tune's default) to about 10 ms, and silence Ray's own messages.
"""


def check_ray(resources: Resources) -> None:
    """Check the address of the cluster, or the resources of this machine.

    Raises:
        UsageError: no cluster answers at the address, or the machine does not have the resources of a task.
    """
    if resources.address is not None:
        check_reachable(resources.address)
    else:
        check_machine(resources)


@register("ray_tune", check_ray)
@contextmanager
def open_ray(resources: Resources, scratch: Path) -> Iterator[Executor]:
    """Open the executor on a private Ray of this machine, or on the cluster at `resources.address`.

    Ray is shut down at the end of the context.

    Raises:
        UsageError: no cluster answers at the address, or it does not have the resources of a task.
    """
    if resources.address is not None:
        check_reachable(resources.address)
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    environment.keep_memory()
    environment.name_user()
    with ExitStack() as stack:
        folder: Path | None = None
        if resources.address is None:
            folder = stack.enter_context(session_folder())
            stack.enter_context(environment.with_variables(private_environment(folder)))
        adapter = importlib.import_module(f"{__name__}.adapter")  # ray reads the environment when it is imported
        allocation = stack.enter_context(adapter.ray_cluster(resources, folder))
        yield adapter.RayTune(allocation, scratch)


def private_environment(folder: Path) -> dict[str, str]:
    """Environment variables of a private Ray, which hold while it runs.

    Without `RAY_AUTH_TOKEN`, Ray would write a token to `~/.ray/auth_token`, readable by everybody; there may be no home
    folder that can be written to. A token that the user has set is kept.

    Args:
        folder: the private folder for the temporary files of Ray and Tune.
    """
    variables = {"RAY_TMPDIR": str(folder)}
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        variables["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return variables
