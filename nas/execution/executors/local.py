"""An executor on processes of this machine, without a cluster or a daemon. The processes end with the driver.

Each worker is a process of its own (`nas.execution.worker_process`). If it dies, only its task is lost, and another process
replaces it.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection as connections
from pathlib import Path
from typing import Any

from nas import logs
from nas.errors import StudyError, UsageError, reason
from nas.execution import environment, processes
from nas.execution.base import (
    FINISHED,
    Executor,
    Loss,
    Result,
    Task,
    TaskSource,
    WorkerFactory,
    register,
)
from nas.execution.resources import (
    Allocation,
    Resources,
    allocate,
    check_machine,
    count_gpus,
    requested_cpus,
    shares_per_gpu,
)
from nas.execution.worker_process import EXCEPTION, READY, STARTED, UNFIT, WorkerProcess

TICK_S = 0.05
ASK_INTERVAL_S = 1.0
"""A source that has no task is asked again when a task has ended, and after this time."""
MAX_FAILED_STARTS = 3
"""A worker that dies this number of times before it is ready cannot start."""

NEVER_STARTED = (
    "the processes ended before they could start; a script has to call `search` below `if __name__ == '__main__':`,"
    " because each process imports the script"
)

logger = logging.getLogger(__name__)


def check_local(resources: Resources) -> None:
    """Check the resources of local processes.

    Raises:
        UsageError: `resources.address` names a cluster, or the machine does not have the resources of a task.
    """
    _check_address(resources)
    check_machine(resources)


def _check_address(resources: Resources) -> None:
    if resources.address is not None:
        rule = "must be null for the executor 'local', which runs on this machine"
        raise UsageError(f"resources.address: {rule}, found {resources.address}")


@register("local", check_local)
@contextmanager
def open_local(resources: Resources, scratch: Path) -> Iterator[LocalProcesses]:
    """Open the executor on processes of this machine.

    Raises:
        UsageError: the machine does not have the resources of a task, or `resources.address` names a cluster.
    """
    _check_address(resources)
    environment.name_user()
    gpus = 0 if resources.gpus_per_trial == 0 else count_gpus()
    allocation = allocate(resources, {"CPU": requested_cpus(resources), "GPU": gpus})
    yield LocalProcesses(allocation, gpus)


class LocalProcesses(Executor):
    """Runs each task in one of some processes.

    Args:
        allocation: the number of processes, and the CPUs and GPUs of each.
        gpus: number of GPUs of this machine.
    """

    def __init__(self, allocation: Allocation, gpus: int = 0) -> None:
        self.allocation = allocation
        shares = shares_per_gpu(allocation.gpus) if allocation.gpus > 0 else 0
        devices = [f"cuda:{index}" for _ in range(shares) for index in range(gpus)]
        self.devices = (devices or ["cpu"] * allocation.workers)[: allocation.workers]

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        environment.keep_memory()
        run = _Run(source, [WorkerProcess(make_worker, device) for device in self.devices])
        try:
            run.until_finished()
        finally:
            run.end()

    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        environment.keep_memory()
        with processes.pool(1, logs.configure_worker) as submit:
            future: Future[Result] = submit(function, *arguments, self.devices[0])
            while not wait([future], timeout=0.1).done:
                tick()
            try:
                return future.result()
            except BrokenProcessPool:
                raise StudyError("its process died, possibly out of memory") from None
            except Exception as error:
                raise StudyError(reason(error)) from None


class _Run:
    """A run of all tasks of a source.

    Args:
        source: gives the tasks and receives their results.
        workers: the processes, not started yet.
    """

    def __init__(self, source: TaskSource, workers: list[WorkerProcess]) -> None:
        self.source = source
        self.workers = workers
        self.again: deque[Task] = deque()  # tasks that were lost, and are to be run again
        self.is_finished = False  # the source has no more tasks
        self._ask_at_s: dict[str | None, float] = {}
        """Device of a worker -> the time, by the monotonic clock, before which the source has no task for it."""

    def until_finished(self) -> None:
        """Start the processes, and run until every task has ended."""
        for worker in self.workers:
            worker.start()
        while True:
            self.source.tick()
            self._assign()
            if self.is_finished and not self.again and not any(worker.task for worker in self.workers):
                return
            for worker in self._with_news():
                if worker.connection.poll():
                    self._handle(worker, worker.receive())
                elif not worker.is_alive:
                    self._handle(worker, None)

    def end(self) -> None:
        """End all processes at once."""
        for worker in self.workers:
            if worker.process is not None and worker.process.is_alive():
                worker.process.kill()  # nothing is lost: finished results have been received
        for worker in self.workers:
            worker.end()

    def _with_news(self) -> list[WorkerProcess]:
        """The workers that have sent something, or died; waits for `TICK_S` at most."""
        waited_for: dict[Any, WorkerProcess] = {worker.connection: worker for worker in self.workers}
        waited_for |= {worker.process.sentinel: worker for worker in self.workers if worker.process is not None}
        ready = connections.wait(list(waited_for), timeout=TICK_S)
        return list({id(waited_for[item]): waited_for[item] for item in ready}.values())

    def _assign(self) -> None:
        """Give tasks to the workers that are free."""
        for worker in self.workers:
            if not worker.is_ready or worker.task is not None:
                continue
            task = self.again.popleft() if self.again else self._next_task(worker.label)
            if task is None:
                continue
            if worker.give(task):
                self.source.on_started(task)
            else:
                self.again.appendleft(task)

    def _next_task(self, device: str | None) -> Task | None:
        if self.is_finished or time.monotonic() < self._ask_at_s.get(device, -math.inf):
            return None
        task = self.source.next_task_for(device)
        self.is_finished = task is FINISHED
        if isinstance(task, Task):
            return task
        self._ask_at_s[device] = time.monotonic() + ASK_INTERVAL_S
        return None

    def _handle(self, worker: WorkerProcess, message: tuple[str, Any] | None) -> None:
        """Handle a `message` of a worker; None: its process has died."""
        if message is None:
            self._handle_death(worker)
            return
        kind, content = message
        if kind == STARTED:
            worker.has_started = True
        elif kind == READY:
            worker.is_ready, worker.failed_starts, worker.label = True, 0, content
        elif kind == UNFIT:
            self.source.on_worker_failed(content)
        elif kind == EXCEPTION:
            raise content
        elif worker.task is not None:
            task, worker.task = worker.task, None
            self._ask_at_s.clear()
            self.source.on_ended(task, content)

    def _handle_death(self, worker: WorkerProcess) -> None:
        task, death = worker.task, worker.end()
        self._ask_at_s.clear()
        if task is not None:
            logger.info("task %s: %s", task.name, death)
            if self.source.on_lost(task, Loss("worker", death)):
                self.again.append(task)
        elif not worker.is_ready:
            worker.failed_starts += 1
            if not worker.has_started and not worker.was_killed:
                self.source.on_worker_failed(NEVER_STARTED)
            elif worker.failed_starts >= MAX_FAILED_STARTS:
                self.source.on_worker_failed(f"it died before it was ready: {death}")
        self.source.tick()  # raises if the worker cannot start
        worker.start()
