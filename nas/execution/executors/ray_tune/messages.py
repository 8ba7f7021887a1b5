"""The messages between the driver and the host process, which run in pairs of one version over a pipe of their own.

The driver sends orders (`OpenRay`, `RunTasks`, `CallFunction`, `Close`) and answers each `WantsTask` with `GivenTask` or
`NoTaskNow`. The host sends everything else. This module is imported by both, so it imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class WorkerRequest:
    """What a worker needs of its node.

    Args:
        cpus: CPUs, at least 1.
        gpus: GPUs, 0 to 1; a fraction shares a GPU.
        custom: custom resource of Ray -> amount.
        limit: the greatest number of workers; None: as many as the cluster has room for.
    """

    cpus: int
    gpus: float
    custom: Mapping[str, float] = field(default_factory=dict)
    limit: int | None = None

    @property
    def device(self) -> str:
        """The device of a worker; Ray shows each worker only its own GPU."""
        return "cuda" if self.gpus > 0 else "cpu"


@dataclass(frozen=True)
class OpenRay:
    """Start a private Ray with files below `folder`, or join the cluster at `address`.

    Args:
        folder: a folder for temporary files.
        address: HOST:PORT of the cluster; None: a private Ray is started.
        cpus: number of CPUs of a private Ray.
    """

    folder: str
    address: str | None
    cpus: int


@dataclass(frozen=True)
class RunTasks:
    """Run tasks until the driver has no more.

    Args:
        make_worker: the pickled factory of workers.
        request: what a worker needs.
        folder: the folder whose files workers on other machines may reach; None: none.
        tasks_per_tuner: number of tasks after which Tune is started afresh, since it keeps 25 kB of each.
    """

    make_worker: bytes
    request: WorkerRequest
    folder: str | None
    tasks_per_tuner: int


@dataclass(frozen=True)
class CallFunction:
    """Call a function with the resources of a worker; `call` is the pickled (function, arguments)."""

    call: bytes
    request: WorkerRequest


@dataclass(frozen=True)
class Close:
    """End Ray, or leave the cluster, and exit."""


Order = OpenRay | RunTasks | CallFunction | Close


@dataclass(frozen=True)
class GivenTask:
    """A task to run."""

    name: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class NoTaskNow:
    """There is no task now; or no more, if `is_finished`."""

    is_finished: bool


@dataclass(frozen=True)
class Beat:
    """The host lives."""


@dataclass(frozen=True)
class Opened:
    """Ray runs; `nodes` are the resources of the nodes."""

    nodes: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class NotOpened:
    """Ray could not be started or joined."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """Ray was lost, or does not work; the host exits."""

    reason: str


@dataclass(frozen=True)
class WantsTask:
    """A worker on `device` is free; None: it is not known which."""

    device: str | None = None


@dataclass(frozen=True)
class Started:
    """A worker has received the task `name`."""

    name: str


@dataclass(frozen=True)
class Ended:
    """The task `name` has ended with `result`."""

    name: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Raised:
    """The worker raised an exception that is no result."""

    name: str
    reason: str


@dataclass(frozen=True)
class Lost:
    """The task `name` has ended without a result."""

    name: str
    kind: Literal["worker", "node"]
    reason: str


@dataclass(frozen=True)
class WorkerFailed:
    """A worker could not be created; the task `name` has not started. `is_last`: no node is left that could run it."""

    name: str
    reason: str
    is_last: bool


@dataclass(frozen=True)
class WorkerCount:
    """The cluster has room for `count` workers now."""

    count: int


@dataclass(frozen=True)
class RunEnded:
    """All tasks have ended."""


@dataclass(frozen=True)
class CallEnded:
    """The function has returned; `result` is pickled."""

    result: bytes


@dataclass(frozen=True)
class CallFailed:
    """The function has raised, or its process has died."""

    reason: str


Report = (
    Opened
    | NotOpened
    | Broken
    | WantsTask
    | Started
    | Ended
    | Raised
    | Lost
    | WorkerFailed
    | WorkerCount
    | RunEnded
    | CallEnded
    | CallFailed
)
