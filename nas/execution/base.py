"""The interface of executors, which run tasks: Ray Tune, processes of this machine, and the simulator implement it.

An executor runs the tasks of a `TaskSource` (the driver of a search, the trainings of a fidelity run, the runs of a benchmark).
Its workers live as long as the run: each creates its `Worker` once, with `make_worker(site)`, and then runs one task after
the other. The executor calls the source in the process and thread that called `run`:

    next_task_for(device) -> Task      a worker on `device` is free; `on_started(task)` follows when it has received the task
    next_task_for(device) -> WAIT      there is no task for it now; called again after the next task has ended or is lost
    next_task_for(device) -> FINISHED  there are no more tasks; `run` returns when the running tasks have ended
    on_ended(task, result)        the worker returned `result`
    on_lost(task, loss) -> bool   the task ended without a result; True: the executor runs it again (`on_started` follows),
                                  before it asks for new ones; False: the task is over
    on_worker_failed(reason)      a worker could not be created; its task has not started
    on_message(text)              a line for the user, such as "waiting for the cluster"
    on_workers(count)             the number of workers is now `count`, since nodes joined or left the cluster
    tick()                        called several times a second

A device is named as the worker names it (`DeviceWorker`); None: it is not known, as before a worker is created.

Executors do not count losses and retry nothing on their own: the source decides (`nas.execution.losses`).

An exception raised by these methods ends the run: the workers are stopped and the exception propagates. Tasks and results are
plain JSON, so that they cross process and machine boundaries; source and worker agree on their content.

An executor is one file of `nas.execution.executors`, which registers itself under the name of the file; `open_executor(name,
resources, scratch)` creates it.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar, runtime_checkable

from nas.errors import ConfigError, StudyError, UnknownNameError
from nas.execution.driver_files import DriverFiles
from nas.execution.resources import Allocation, Resources
from nas.study.config import StudyConfig

Result = TypeVar("Result")


class NoTask(Enum):
    """The reason why a source gives no task."""

    WAIT = "wait"
    FINISHED = "finished"


WAIT: Final = NoTask.WAIT
FINISHED: Final = NoTask.FINISHED


@dataclass(frozen=True)
class Task:
    """A unit of work.

    Args:
        name: unique within a run.
        payload: the input of the worker, plain JSON.
    """

    name: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Loss:
    """Why a task ended without a result.

    Args:
        kind: "worker": the process died, and its node lives; "node": its node was lost or pre-empted; "cluster": the cluster
            itself (its head, or the daemons of a private Ray) was lost.
        reason: one line, such as "the worker died (signal 9)" or "node 10.0.0.3 was lost".
    """

    kind: Literal["worker", "node", "cluster"]
    reason: str


@dataclass(frozen=True)
class WorkerSite:
    """Where a worker is created.

    Args:
        device: the device of the worker: "cpu", "cuda", "cuda:1".
        files: the files of the driver's folder, for workers that do not see it; None: the worker runs on the driver's machine.
    """

    device: str
    files: DriverFiles | None = None


class Worker(Protocol):
    """Runs tasks, one at a time."""

    def run(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run a task and return its result, plain JSON.

        An exception ends the whole run; a failure that the task itself causes belongs in the result.
        """


@runtime_checkable
class DeviceWorker(Protocol):
    """A worker that knows its device."""

    @property
    def device_label(self) -> str:
        """The type and the name of its device (`trainers.device.device_label`)."""


def device_of(worker: Worker) -> str | None:
    """The device of `worker`, if it knows it."""
    return worker.device_label if isinstance(worker, DeviceWorker) else None


WorkerFactory = Callable[[WorkerSite], Worker]
"""Creates a worker at a site. It must be picklable."""


class TaskSource(ABC):
    """Gives tasks and receives results. The module docstring has the order of calls."""

    _failure: str | None = None  # why a worker could not be created

    @abstractmethod
    def next_task(self) -> Task | NoTask:
        """Return the next task, `WAIT` or `FINISHED`. Executors call `next_task_for`."""

    @abstractmethod
    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        """Called when `task` has ended with `result`."""

    @abstractmethod
    def on_lost(self, task: Task, loss: Loss) -> bool:
        """Called when `task` has ended without a result; returns True if the executor must run it again."""

    def next_task_for(self, device: str | None) -> Task | NoTask:
        """Return the next task for a worker on `device`; None: it is not known. By default all workers are equal."""
        return self.next_task()

    def on_started(self, task: Task) -> None:  # noqa: B027 (optional)
        """Called when a worker has received `task`."""

    def on_worker_failed(self, reason: str) -> None:
        """Called when a worker could not be created; the next `tick` raises `StudyError` with this `reason`."""
        self._failure = reason

    def on_message(self, text: str) -> None:  # noqa: B027 (optional)
        """Called with a line for the user: what the executor waits for, or a node that it does not use."""

    def on_workers(self, count: int) -> None:  # noqa: B027 (optional)
        """Called when the number of workers has changed to `count`, which may be 0."""

    def tick(self) -> None:
        """Called several times a second while tasks run.

        Raises:
            StudyError: a worker could not be created.
        """
        if self._failure is not None:
            raise StudyError(f"a worker cannot start: {self._failure}")


class Executor(ABC):
    """Runs tasks on its workers.

    Args:
        allocation: the number of workers, and the CPUs and GPUs of each; the number may change (`TaskSource.on_workers`).
    """

    allocation: Allocation

    @abstractmethod
    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        """Run all tasks of `source`. Call from the main thread.

        Args:
            make_worker: creates the workers.
            source: gives the tasks and receives their results.
            folder: the folder on this machine whose files workers on other machines reach through `WorkerSite.files`; None:
                they reach none.
        """

    @abstractmethod
    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        """Run `function(*arguments, device)` in a separate process with the CPUs and GPUs of one task.

        `tick` is called several times a second meanwhile.

        Raises:
            StudyError: the process died, or `function` raised.
        """


OpenExecutor = Callable[[Resources, Path], AbstractContextManager[Executor]]
"""Opens an executor, given the resources it may use and a folder for temporary files."""

CheckResources = Callable[[Resources], None]
"""Raises `UsageError` if this machine or cluster lacks the resources, as far as that shows without starting anything."""

_EXECUTORS: dict[str, OpenExecutor] = {}
_CHECKS: dict[str, CheckResources] = {}


def register(name: str, check: CheckResources | None = None) -> Callable[[OpenExecutor], OpenExecutor]:
    """Decorator that registers a function that opens the executor `name`.

    Args:
        name: the name in `resources.executor`.
        check: called before anything is started or written; None: there is nothing to check.

    Raises:
        ValueError: the name is already registered.
    """

    def add(open_executor: OpenExecutor) -> OpenExecutor:
        if name in _EXECUTORS:
            raise ValueError(f"executor {name!r} is already registered")
        _EXECUTORS[name] = open_executor
        if check is not None:
            _CHECKS[name] = check
        return open_executor

    return add


def unregister(name: str) -> None:
    """Remove the executor `name`, which a plugin or a test registered."""
    del _EXECUTORS[name]
    _CHECKS.pop(name, None)


def names() -> tuple[str, ...]:
    """The names of all executors: the modules of `nas.execution.executors`, and those registered by other packages."""
    built_in = {module.name for module in pkgutil.iter_modules(_package_path())}
    return tuple(sorted(built_in | _EXECUTORS.keys()))


def open_executor(name: str, resources: Resources, scratch: Path) -> AbstractContextManager[Executor]:
    """Open the executor `name`; it is shut down at the end of the context.

    Args:
        name: one of `names()`.
        resources: the resources it may use.
        scratch: a folder for its temporary files, which it creates if needed and removes at the end.

    Raises:
        UnknownNameError: there is no such executor.
        UsageError: the machine or cluster does not have the resources.
    """
    return _find(name)(resources, scratch)


def check_resources(name: str, resources: Resources) -> None:
    """Check that the executor `name` can be opened with `resources`, without starting anything.

    Raises:
        UnknownNameError: there is no such executor.
        UsageError: the machine or cluster does not have the resources.
    """
    _find(name)
    if name in _CHECKS:
        _CHECKS[name](resources)


def _find(name: str) -> OpenExecutor:
    """The function that opens the executor `name`."""
    if name not in _EXECUTORS and name in names():
        importlib.import_module(f"{_PACKAGE}.{name}")  # registers itself; not imported earlier, since ray takes seconds
    if name not in _EXECUTORS:
        raise UnknownNameError("resources.executor", "executor", name, names())
    return _EXECUTORS[name]


def check_executor(config: StudyConfig) -> None:
    """Raise `ConfigError`, with the place in the file, unless the executor that `config` names exists."""
    name = config.resources.executor
    if name not in names():
        error = UnknownNameError("resources.executor", "executor", name, names())
        raise ConfigError(config.where("resources", "executor"), str(error))


_PACKAGE = "nas.execution.executors"


def _package_path() -> list[str]:
    return list(importlib.import_module(_PACKAGE).__path__)
