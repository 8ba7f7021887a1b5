"""An executor on processes of this machine, without a cluster or a daemon. The processes end with the driver.

Each worker is a process of its own with a pipe to the driver. If it dies, its task alone is lost, and another process takes its
place.

    driver -> worker    the payload of a task
    worker -> driver    (STARTED, None), then (READY, its device) or (UNFIT, reason); for each task (RESULT, result) or
                        (EXCEPTION, the pickled exception, which ends the run)
"""

from __future__ import annotations

import logging
import math
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection as connections
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
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
    WorkerSite,
    device_of,
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
from nas.execution.worker_death import count_oom_kills, describe_death

TICK_S = 0.05
ASK_INTERVAL_S = 1.0
"""A source that has no task is asked again when a task has ended, and after this time."""
MAX_FAILED_STARTS = 3
"""A worker that dies this number of times before it is ready cannot start."""

NEVER_STARTED = (
    "the processes ended before they could start; a script has to call `search` below `if __name__ == '__main__':`,"
    " because each process imports the script"
)

STARTED, READY, UNFIT, RESULT, EXCEPTION = "started", "ready", "unfit", "result", "exception"

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
        run = _Run(source, [_Place(make_worker, device) for device in self.devices])
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


class _Place:
    """A place for a worker: its device, its process, and the task that the process runs.

    Args:
        make_worker: creates the worker, in its process.
        device: the device of the worker.
    """

    def __init__(self, make_worker: WorkerFactory, device: str) -> None:
        self.make_worker = make_worker
        self.device = device
        self.task: Task | None = None
        self.label: str | None = None  # of its device, as the worker names it
        self.is_ready = False
        self.has_started = False
        self.failed_starts = 0
        self._oom_kills = 0
        self.connection, self._other_end = processes.CONTEXT.Pipe()
        self.process: BaseProcess | None = None

    def start(self) -> None:
        """Start a process. Call from the main thread."""
        if self.process is not None:
            self.connection, self._other_end = processes.CONTEXT.Pipe()
        self.task, self.is_ready, self.has_started = None, False, False
        self._oom_kills = count_oom_kills()
        with processes.block_sigint(signal.SIGTERM):  # which a scheduler may send to every process of a job
            self.process = processes.CONTEXT.Process(
                target=_serve, args=(self._other_end, self.make_worker, self.device)
            )
            self.process.start()
        self._other_end.close()

    @property
    def is_alive(self) -> bool:
        """True if the process runs."""
        return self.process is not None and self.process.is_alive()

    @property
    def was_killed(self) -> bool:
        """True if a signal has ended the process."""
        return self.process is not None and (self.process.exitcode or 0) < 0

    def give(self, task: Task) -> bool:
        """Give `task` to the worker; False: its process has just died."""
        self._oom_kills = count_oom_kills()
        try:
            self.connection.send(dict(task.payload))
        except OSError:
            return False
        self.task = task
        return True

    def receive(self) -> tuple[str, Any] | None:
        """The next message of the worker; None: its process has died, or ends."""
        try:
            message: tuple[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def end(self) -> str:
        """Wait for the end of the process, which is ending, and see to it; returns how it died."""
        self.connection.close()
        if self.process is None or self.process.pid is None:
            return describe_death(None)
        self.process.join(processes.END_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return describe_death(self.process.exitcode, count_oom_kills() > self._oom_kills)


class _Run:
    """A run of all tasks of a source.

    Args:
        source: gives the tasks and receives their results.
        places: the workers.
    """

    def __init__(self, source: TaskSource, places: list[_Place]) -> None:
        self.source = source
        self.places = places
        self.again: deque[Task] = deque()  # tasks that were lost, and are to be run again
        self.is_finished = False  # the source has no more tasks
        self._ask_at_s: dict[str | None, float] = {}
        """Device of a worker -> the time, by the monotonic clock, before which the source has no task for it."""

    def until_finished(self) -> None:
        """Start the processes, and run until every task has ended."""
        for place in self.places:
            place.start()
        while True:
            self.source.tick()
            self._assign()
            if self.is_finished and not self.again and not any(place.task for place in self.places):
                return
            for place in self._with_news():
                if place.connection.poll():
                    self._handle(place, place.receive())
                elif not place.is_alive:
                    self._handle(place, None)

    def end(self) -> None:
        """End all processes at once."""
        for place in self.places:
            if place.process is not None and place.process.is_alive():
                place.process.kill()  # nothing is lost: finished results have been received
        for place in self.places:
            place.end()

    def _with_news(self) -> list[_Place]:
        """The workers that have sent something, or died; waits for `TICK_S` at most."""
        places: dict[Any, _Place] = {place.connection: place for place in self.places}
        places |= {place.process.sentinel: place for place in self.places if place.process is not None}
        ready = connections.wait(list(places), timeout=TICK_S)
        return list({id(places[item]): places[item] for item in ready}.values())

    def _assign(self) -> None:
        """Give tasks to the workers that are free."""
        for place in self.places:
            if not place.is_ready or place.task is not None:
                continue
            task = self.again.popleft() if self.again else self._next_task(place.label)
            if task is None:
                continue
            if place.give(task):
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

    def _handle(self, place: _Place, message: tuple[str, Any] | None) -> None:
        """Handle a `message` of a worker; None: its process has died."""
        if message is None:
            self._handle_death(place)
            return
        kind, content = message
        if kind == STARTED:
            place.has_started = True
        elif kind == READY:
            place.is_ready, place.failed_starts, place.label = True, 0, content
        elif kind == UNFIT:
            self.source.on_worker_failed(content)
        elif kind == EXCEPTION:
            raise pickle.loads(content)
        elif place.task is not None:
            task, place.task = place.task, None
            self._ask_at_s.clear()
            self.source.on_ended(task, content)

    def _handle_death(self, place: _Place) -> None:
        task, death = place.task, place.end()
        self._ask_at_s.clear()
        if task is not None:
            logger.info("task %s: %s", task.name, death)
            if self.source.on_lost(task, Loss("worker", death)):
                self.again.append(task)
        elif not place.is_ready:
            place.failed_starts += 1
            if not place.has_started and not place.was_killed:
                self.source.on_worker_failed(NEVER_STARTED)
            elif place.failed_starts >= MAX_FAILED_STARTS:
                self.source.on_worker_failed(f"it died before it was ready: {death}")
        self.source.tick()  # raises if the worker cannot start
        place.start()


def _serve(connection: Connection, make_worker: WorkerFactory, device: str) -> None:
    """What the process of a worker does: it runs tasks until the driver ends it."""
    processes.end_with_parent()
    connection.send((STARTED, None))
    logs.configure_worker()
    try:
        worker = make_worker(WorkerSite(device))
    except Exception as error:
        connection.send((UNFIT, reason(error)))
        return
    connection.send((READY, device_of(worker)))
    while True:
        try:
            payload = connection.recv()
        except EOFError:
            return
        try:
            result = dict(worker.run(payload))
        except Exception as error:
            connection.send((EXCEPTION, _pickled(error)))
            return
        connection.send((RESULT, result))


def _pickled(error: Exception) -> bytes:
    """`error`, or what remains of it if it does not survive pickling."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:
        return pickle.dumps(StudyError(reason(error)))
    return content
