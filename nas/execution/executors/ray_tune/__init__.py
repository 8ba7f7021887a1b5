"""Ray Tune as an executor; this package alone imports ray (`adapter.py`), and only once an executor is opened.

Ray is disposable. It holds no state that matters, neither Tune checkpoints nor result files: after a crash the study's
storage says which trials were running, and each continues from its own checkpoint.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.execution import environment
from nas.execution.base import Executor, register
from nas.execution.resources import Resources, check_reachable

RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    # Ray's memory monitor would end the whole run where one trial asks for too much.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    # At Ray's niceness of 15 workers hardly run beside other load; at 0 they are what a plain training is.
    "RAY_worker_niceness": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_MAX_PENDING_TRIALS_PG": "2",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Environment variables that Ray reads when it is imported. Together they take the overhead of a trial from 2.5 s (Tune's
default) to about 10 ms, and Ray's own messages from the screen. A variable that the user has set stays as it is.
"""


@register("ray_tune")
@contextmanager
def open_ray(resources: Resources, scratch: Path) -> Iterator[Executor]:
    """A private Ray on this machine, or the cluster at `resources.address`; it is shut down at the end.

    Raises:
        UsageError: no cluster answers at the address, or it does not have what a task needs.
    """
    if resources.address is not None:
        check_reachable(resources.address)
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    environment.keep_memory()
    adapter = importlib.import_module(f"{__name__}.adapter")  # ray reads the environment when it is imported
    with adapter.ray_cluster(resources) as allocation:
        yield adapter.RayTune(allocation, scratch)
