"""An executor on processes of this machine, without a cluster or a daemon. The processes end with the driver.

If a process dies (usually it is out of memory), the whole pool ends. If several tasks were running, it is not known whose process
died: each is run again alone, one after the other. A task that was alone when its process died is lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from nas import logs
from nas.errors import StudyError, UsageError, reason
from nas.execution import environment, processes
from nas.execution.base import (
    FINISHED,
    WAIT,
    Executor,
    Loss,
    NoTask,
    Result,
    Task,
    TaskSource,
    Worker,
    WorkerFactory,
    WorkerSite,
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

TICK_S = 0.05
NEVER_STARTED = (
    "the processes ended before they could start; a script has to call `search` below `if __name__ == '__main__':`,"
    " because each process imports the script"
)

WORKER_DIED = Loss("worker", "the worker died")

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
    """Runs tasks in a pool of processes.

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
        interrupted: list[Task] = []  # tasks that were running when a process died
        while True:
            started = processes.CONTEXT.Event()
            with _pool(make_worker, self.devices, started) as submit:
                interrupted = _run_until_death(submit, len(self.devices), source)
            if not interrupted:
                return
            if not started.is_set():
                source.on_worker_failed(NEVER_STARTED)
            is_known = len(interrupted) == 1
            for task in interrupted:
                if not is_known or source.on_lost(task, WORKER_DIED):
                    self._run_alone(task, make_worker, source, started)

    def _run_alone(self, task: Task, make_worker: WorkerFactory, source: TaskSource, started: Any) -> None:
        """Run a task alone until it ends, or until it is lost and `source` gives it up."""
        while True:
            logger.info("task %s: its process, or another one of the pool, died; it is run again alone", task.name)
            with _pool(make_worker, self.devices[:1], started) as submit:
                died = _run_until_death(submit, 1, _SingleTask(task, source))
            if not died or not source.on_lost(task, WORKER_DIED):
                return

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


class _SingleTask(TaskSource):
    """Gives one task of another source, which has already given it."""

    def __init__(self, task: Task, source: TaskSource) -> None:
        self.tasks = [task]
        self.source = source

    def next_task(self) -> Task | NoTask:
        return self.tasks.pop() if self.tasks else FINISHED

    def on_started(self, task: Task) -> None:
        self.source.on_started(task)

    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        self.source.on_ended(task, result)

    def on_lost(self, task: Task, loss: Loss) -> bool:
        return self.source.on_lost(task, loss)

    def on_worker_failed(self, reason: str) -> None:
        self.source.on_worker_failed(reason)

    def tick(self) -> None:
        self.source.tick()


def _run_until_death(submit: Callable[[Task], Future[dict[str, Any]]], workers: int, source: TaskSource) -> list[Task]:
    """Run the tasks of `source`; returns the tasks that were running when a process died, or none if all have ended."""
    running: dict[Future[dict[str, Any]], Task] = {}
    finished = False
    while True:
        source.tick()
        while not finished and len(running) < workers:
            task = source.next_task()
            if task is WAIT or task is FINISHED or not isinstance(task, Task):
                finished = task is FINISHED
                break
            try:
                running[submit(task)] = task
            except BrokenProcessPool:
                return [*running.values(), task]
            source.on_started(task)
        if not running:
            if finished:
                return []
            time.sleep(TICK_S)
            continue
        for future in wait(running, timeout=TICK_S, return_when=FIRST_COMPLETED).done:
            try:
                answer = future.result()
            except BrokenProcessPool:
                return list(running.values())
            task = running.pop(future)
            if "worker_failed" in answer:
                source.on_worker_failed(answer["worker_failed"])
            else:
                source.on_ended(task, answer["result"])


@contextmanager
def _pool(
    make_worker: WorkerFactory, devices: list[str], started: Any
) -> Iterator[Callable[[Task], Future[dict[str, Any]]]]:
    """Yield a function that submits a task to a pool with a process for each of `devices`; each sets the event `started`."""
    environment.keep_memory()
    with closing(processes.CONTEXT.SimpleQueue()) as queue:
        for device in devices:
            queue.put(device)
        with processes.pool(len(devices), _start_worker, make_worker, queue, started) as submit:
            yield lambda task: submit(_run_task, dict(task.payload))


_worker: Worker | None = None  # the worker of this process of the pool
_failure = ""  # why it could not be created


def _start_worker(make_worker: WorkerFactory, devices: Any, started: Any) -> None:
    global _worker, _failure
    started.set()
    logs.configure_worker()
    try:
        _worker = make_worker(WorkerSite(devices.get()))
    except Exception as error:  # the first task reports it: an exception here would look like the death of the process
        _failure = reason(error)


def _run_task(payload: dict[str, Any]) -> dict[str, Any]:
    if _worker is None:
        return {"worker_failed": _failure}
    return {"result": dict(_worker.run(payload))}
