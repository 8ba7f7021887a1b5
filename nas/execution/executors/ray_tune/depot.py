"""The files of the driver's folder for Ray's workers: an actor on the driver's node serves them, and a client calls it.

    depot = open_depot(folder)                 # in the process that has started or joined Ray, on the driver's machine
    WorkerSite(device, DepotFiles(depot))      # may be sent to workers

Ray restarts the actor if it dies; until then, calls wait and are repeated.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.execution.driver_files import FileStat, FolderFiles

MAX_WAIT_S = 60.0
"""Longest time for which a call is repeated."""

RETRY_INTERVAL_S = 0.5
CONCURRENT_CALLS = 8


def open_depot(folder: Path) -> Any:
    """Start the actor that serves the files of `folder`, which is on this machine; returns its handle.

    It needs no CPU, and ends with the process that has started it, or with `ray.kill(handle)`.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_concurrency": CONCURRENT_CALLS, "scheduling_strategy": here}
    return ray.remote(**options)(FolderFiles).remote(folder)


@dataclass(frozen=True)
class DepotFiles:
    """The `DriverFiles` of a worker, which may be on another machine.

    Args:
        depot: the handle that `open_depot` returned.
    """

    depot: Any

    def stat(self, name: str) -> FileStat | None:
        """As `DriverFiles.stat`."""
        return _call(lambda: self.depot.stat.remote(name))

    def read(self, name: str, offset: int, size: int) -> bytes:
        """As `DriverFiles.read`."""
        content: bytes = _call(lambda: self.depot.read.remote(name, offset, size))
        return content

    def write(self, name: str, content: bytes, offset: int, is_last: bool, digest: str) -> None:
        """As `DriverFiles.write`."""
        _call(lambda: self.depot.write.remote(name, content, offset, is_last, digest))

    def remove(self, name: str) -> None:
        """As `DriverFiles.remove`."""
        _call(lambda: self.depot.remove.remote(name))


def _call(submit: Callable[[], Any]) -> Any:
    """Call the actor, again while it is restarted; an exception of its own is raised here as it was there.

    Raises:
        OSError: the actor cannot be reached.
    """
    end = time.monotonic() + MAX_WAIT_S
    while True:
        try:
            return ray.get(submit(), timeout=MAX_WAIT_S)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            if time.monotonic() > end:
                raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH), "the driver's files") from error
            time.sleep(RETRY_INTERVAL_S)
