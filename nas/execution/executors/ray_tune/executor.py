"""The executor on Ray Tune, on the driver's side: it gives tasks to the host process, and opens another when that is lost."""

from __future__ import annotations

import logging
import pickle
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.errors import MachineError, StudyError, UsageError
from nas.execution.base import Executor, Loss, Result, TaskSource, WorkerFactory
from nas.execution.executors.ray_tune.address import connect_error
from nas.execution.executors.ray_tune.host_process import HostLostError, HostProcess, NotOpenedError
from nas.execution.executors.ray_tune.messages import (
    CallEnded,
    CallFailed,
    CallFunction,
    Ended,
    Lost,
    Opened,
    Raised,
    Report,
    RunEnded,
    RunTasks,
    Started,
    WantsTask,
    WorkerCount,
    WorkerFailed,
)
from nas.execution.executors.ray_tune.opening import allocate_workers, open_error
from nas.execution.executors.ray_tune.relayed_tasks import RelayedTasks
from nas.execution.resources import Allocation, Resources
from nas.study.config_file.durations import duration_word

MAX_LOSSES = 5
LOSSES_WINDOW_S = 600.0
"""A private Ray that is lost `MAX_LOSSES` times within this time, without a task that has ended, does not work."""
WAIT_INTERVAL_S = 2.0
"""Seconds between two attempts to join a cluster that was lost."""

TASKS_PER_TUNER = 10_000

logger = logging.getLogger(__name__)


class RayTune(Executor):
    """Runs tasks as the trials of a Tune experiment, in a host process.

    Args:
        resources: the resources that may be used.
        address: HOST:PORT of the cluster; None: a private Ray.
        open_host: starts a host process.
    """

    def __init__(self, resources: Resources, address: str | None, open_host: Callable[[], HostProcess]) -> None:
        self.resources = resources
        self.address = address
        self.open_host = open_host
        self.host: HostProcess | None = None
        self.losses_s: deque[float] = deque(maxlen=MAX_LOSSES)  # times of losses since a task has ended
        self.tasks_per_tuner = TASKS_PER_TUNER
        self.empty_since_s: float | None = None  # time since which the cluster has had no node for a worker
        try:
            opened = self._open()
            self.allocation, self.request = allocate_workers(resources, opened.nodes, is_cluster=address is not None)
        except (HostLostError, NotOpenedError) as error:
            raise open_error(address, str(error)) from None
        except UsageError:
            self.end()
            raise

    def _open(self, tick: Callable[[], None] = lambda: None) -> Opened:
        """Start a host process.

        Raises:
            NotOpenedError: Ray cannot be started, or the cluster cannot be joined.
            HostLostError: the host ended or hangs.
        """
        host = self.open_host()
        try:
            opened = host.wait_until_open(tick)
        except BaseException:
            host.end()
            raise
        self.host = host
        return opened

    def _opened_host(self, tick: Callable[[], None]) -> HostProcess:
        """The host process; one is started if there is none."""
        if self.host is None:
            self._open(tick)
        assert self.host is not None
        return self.host

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        tasks = RelayedTasks(source)
        shared = None if folder is None else str(folder)
        order = RunTasks(pickle.dumps(make_worker), self.request, shared, self.tasks_per_tuner)
        while True:
            try:
                host = self._opened_host(source.tick)
                host.send(order)
                while not isinstance(report := host.receive(lambda: self._tick(source)), RunEnded):
                    self._handle(report, tasks, host)
                return
            except (HostLostError, NotOpenedError) as error:
                self.end()
                logger.info("Ray was lost: %s", error)
                self._recover(tasks, str(error))
            except BaseException:
                self.end()  # at once; the source knows which tasks have ended
                raise

    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        content = pickle.dumps((function, (*arguments, self.request.device)))
        try:
            host = self._opened_host(tick)
            host.send(CallFunction(content, self.request))
            while not isinstance(report := host.receive(tick), CallEnded | CallFailed):
                pass
        except NotOpenedError as error:
            raise open_error(self.address, str(error)) from None
        except HostLostError as error:
            self.end()
            raise StudyError(f"Ray was lost: {error}") from None
        except BaseException:
            self.end()
            raise
        if isinstance(report, CallFailed):
            raise StudyError(report.reason)
        result: Result = pickle.loads(report.result)  # of our own child
        return result

    def end(self) -> None:
        """End the host process at once, if there is one."""
        host, self.host = self.host, None
        if host is not None:
            host.end()

    def close(self) -> None:
        """End the host process, if there is one."""
        host, self.host = self.host, None
        if host is not None:
            host.close()

    def _handle(self, report: Report, tasks: RelayedTasks, host: HostProcess) -> None:
        """Pass a report of the host on to the source."""
        match report:
            case WantsTask(device):
                host.send(tasks.next(device))
            case Started(name):
                tasks.start(name)
            case Ended():
                self.losses_s.clear()
                tasks.end(report)
            case Lost(name, kind, reason):
                tasks.lose(name, Loss(kind, reason))
            case Raised(name, reason):
                raise StudyError(f"task {name}: {reason}")
            case WorkerFailed(name, reason, is_last):
                tasks.started.discard(name)
                tasks.again.append(tasks.running.pop(name))
                if is_last:
                    tasks.source.on_worker_failed(reason)
                else:
                    tasks.source.on_message(f"a worker cannot start on {reason}; the node is not used")
            case WorkerCount(count):
                self._set_workers(count, tasks.source)

    def _set_workers(self, count: int, source: TaskSource) -> None:
        if count == 0 and self.empty_since_s is None:
            self.empty_since_s = time.monotonic()
            source.on_message(f"{self._no_node()}; waiting for one for up to {self._wait_text()}")
        elif count > 0:
            self.empty_since_s = None
        self.allocation = Allocation(max(1, count), self.request.cpus, self.request.gpus)
        source.on_workers(count)

    def _tick(self, source: TaskSource) -> None:
        source.tick()
        waited_s = 0.0 if self.empty_since_s is None else time.monotonic() - self.empty_since_s
        if waited_s > self.resources.wait_for_cluster.total_seconds():
            raise MachineError(f"{self._no_node()}, for {self._wait_text()}; the same command continues the search")

    def _recover(self, tasks: RelayedTasks, reason: str) -> None:
        """Make ready for another host: count the losses of a private Ray, wait for a cluster."""
        tasks.lose_all(Loss("cluster", f"Ray was lost: {reason}"))
        if self.address is not None:
            self._wait_for_cluster(self.address, tasks.source, reason)
            return
        now = time.monotonic()
        self.losses_s.append(now)
        if len(self.losses_s) == MAX_LOSSES and now - self.losses_s[0] < LOSSES_WINDOW_S:
            rule = f"Ray was lost {MAX_LOSSES} times without a task that has ended, the last time because {reason}"
            raise MachineError(f"{rule}; the same command continues the search")

    def _wait_for_cluster(self, address: str, source: TaskSource, reason: str) -> None:
        """Wait until a cluster that was lost can be joined again."""
        source.on_message(f"{reason}; waiting for the cluster for up to {self._wait_text()}")
        end_s = time.monotonic() + self.resources.wait_for_cluster.total_seconds()
        while True:
            problem = connect_error(address)
            if problem is None:
                try:
                    self._open(source.tick)
                    return
                except (HostLostError, NotOpenedError) as error:
                    problem = str(error)
            if time.monotonic() > end_s:
                text = f"the Ray cluster at {address} did not come back within {self._wait_text()} ({problem})"
                raise MachineError(f"{text}; the same command continues the search")
            next_s = time.monotonic() + WAIT_INTERVAL_S
            while time.monotonic() < next_s:
                source.tick()
                time.sleep(0.1)

    def _no_node(self) -> str:
        needs = {"CPU": float(self.request.cpus), "GPU": self.request.gpus, **self.request.custom}
        text = ", ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
        return f"the Ray cluster has no node for a worker ({text})"

    def _wait_text(self) -> str:
        return duration_word(self.resources.wait_for_cluster)
