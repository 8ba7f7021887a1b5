"""Where tasks run: the interface that Ray Tune, processes of this machine and the simulator implement.

An executor runs the tasks of a `TaskSource` (the driver of a search, the trainings of a fidelity run, the runs of a benchmark) on
workers that live as long as it does: each makes its `Worker` once, with `make_worker(device)`, and then runs task after task.
It asks and tells the source in the process and thread that called `run`:

    next_task() -> Task           when a worker is free; `started(task)` when the worker has got it
    next_task() -> WAIT           nothing now: asked again after the next task has ended
    next_task() -> FINISHED       nothing ever: `run` returns once the tasks that run have ended
    ended(task, result)           the worker returned `result`, or None: it died, also when the task was tried again alone
    worker_failed(reason)         a worker could not be made; its task has not started
    tick()                        several times a second

Whatever these raise ends the run: the workers are stopped and the exception propagates. Tasks and results are plain JSON, so
that they cross any boundary; what they mean is an agreement between source and worker.

An executor is one file of `nas.execution.executors`, which registers itself under its file's name; `open_executor(name,
resources)` makes it.
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
from typing import Any, Final, Protocol, TypeVar

from nas.errors import StudyError, UnknownNameError
from nas.execution.resources import Allocation, Resources

Result = TypeVar("Result")


class Signal(Enum):
    """Why a source has no task."""

    WAIT = "wait"
    FINISHED = "finished"


WAIT: Final = Signal.WAIT
FINISHED: Final = Signal.FINISHED


@dataclass(frozen=True)
class Task:
    """A task.

    Args:
        name: unique within a run.
        payload: what the worker gets, plain JSON.
    """

    name: str
    payload: Mapping[str, Any]


class Worker(Protocol):
    """Runs tasks, one at a time."""

    def run(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result of a task, plain JSON; an exception fails the run, so whatever a task itself causes belongs in the
        result.
        """


WorkerFactory = Callable[[str], Worker]
"""Makes a worker on a device ("cpu", "cuda", "cuda:1"); it is pickled."""


class TaskSource(ABC):
    """Gives tasks and takes results; see the module for the order of calls."""

    _failure: str | None = None  # why a worker could not be made

    @abstractmethod
    def next_task(self) -> Task | Signal:
        """The next task, `WAIT` or `FINISHED`."""

    @abstractmethod
    def on_ended(self, task: Task, result: Mapping[str, Any] | None) -> None:
        """`task` has ended with `result`; None: its worker died."""

    def on_started(self, task: Task) -> None:  # noqa: B027 (optional)
        """A worker has got `task`."""

    def on_worker_failed(self, reason: str) -> None:
        """A worker could not be made, in words: the next `tick` raises it."""
        self._failure = reason

    def tick(self) -> None:
        """Called several times a second while tasks run.

        Raises:
            StudyError: a worker could not be made.
        """
        if self._failure is not None:
            raise StudyError(f"a worker cannot start: {self._failure}")


class Executor(ABC):
    """Runs tasks on its workers.

    Args:
        allocation: the workers, and the CPUs and GPUs of each.
    """

    allocation: Allocation

    @abstractmethod
    def run(self, make_worker: WorkerFactory, source: TaskSource) -> None:
        """Run the tasks of `source` until there are no more. Call from the main thread."""

    @abstractmethod
    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        """`function(*arguments, device)` in a process of its own, with what a task has; `tick` is called meanwhile.

        Raises:
            StudyError: the process died, or `function` raised.
        """


OpenExecutor = Callable[[Resources, Path], AbstractContextManager[Executor]]
"""Opens an executor, from what it may use and a folder for its own files."""

_EXECUTORS: dict[str, OpenExecutor] = {}


def register(name: str) -> Callable[[OpenExecutor], OpenExecutor]:
    """Decorator: make a function that opens an executor known as `name`."""

    def add(open_executor: OpenExecutor) -> OpenExecutor:
        if name in _EXECUTORS:
            raise ValueError(f"executor {name!r} is already registered")
        _EXECUTORS[name] = open_executor
        return open_executor

    return add


def unregister(name: str) -> None:
    """Forget the executor `name`, of a plugin or a test."""
    del _EXECUTORS[name]


def names() -> tuple[str, ...]:
    """The names of all executors: of the modules of `nas.execution.executors`, and of those registered by others."""
    built_in = {module.name for module in pkgutil.iter_modules(_package_path())}
    return tuple(sorted(built_in | _EXECUTORS.keys()))


def open_executor(name: str, resources: Resources, scratch: Path) -> AbstractContextManager[Executor]:
    """The executor `name`; it is shut down at the end of the context.

    Args:
        name: of `names()`.
        resources: what it may use.
        scratch: a folder for its own files, which it makes if it needs it and removes at the end.

    Raises:
        UnknownNameError: there is no such executor.
        UsageError: it does not have what the resources ask for.
    """
    if name not in _EXECUTORS and name in names():
        importlib.import_module(
            f"{_PACKAGE}.{name}"
        )  # it registers itself; only now, since some take seconds to import
    if name not in _EXECUTORS:
        raise UnknownNameError("resources.executor", "executor", name, names())
    return _EXECUTORS[name](resources, scratch)


_PACKAGE = "nas.execution.executors"


def _package_path() -> list[str]:
    return list(importlib.import_module(_PACKAGE).__path__)
