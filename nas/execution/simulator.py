"""An executor without processes: a virtual clock, and a script of durations, deaths of workers and losses of nodes.

Tests of the driver use it: proposals, records and events depend on the order in which tasks end, and a script fixes this order.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.errors import StudyError, reason
from nas.execution.base import (
    FINISHED,
    Executor,
    Loss,
    Result,
    Task,
    TaskSource,
    Worker,
    WorkerFactory,
    WorkerSite,
    device_of,
)
from nas.execution.resources import Allocation


class VirtualClock:
    """A clock in seconds since the start of a simulation.

    The simulator advances it to the next event. A source whose calls should take time advances it, too.
    """

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """The current time, in seconds."""
        return self.now_s


@dataclass(frozen=True)
class NodeLoss:
    """The loss of the node number `node` (from 0), with all its workers, at `time_s`; it returns after `absent_s` seconds."""

    time_s: float
    node: int
    absent_s: float = float("inf")


@dataclass(frozen=True)
class Script:
    """The events of a simulation.

    Args:
        duration_s: maps a task and its attempt (from 0) to the duration in seconds.
        dies: maps a task and its attempt to True if the worker dies at the end instead of returning a result.
        losses: losses of nodes.
    """

    duration_s: Callable[[Task, int], float] = lambda task, attempt: 1.0
    dies: Callable[[Task, int], bool] = lambda task, attempt: False
    losses: Sequence[NodeLoss] = ()


@dataclass(order=True)
class _Attempt:
    """An attempt at a task that ends at `end_s`."""

    end_s: float
    order: int
    task: Task = field(compare=False)
    attempt: int = field(compare=False)
    node: int = field(compare=False)


class Simulator(Executor):
    """Runs tasks in this process, with a real worker but in virtual time.

    Args:
        script: durations, deaths and losses; None: every task takes one second.
        nodes: number of workers of each node.
        devices: the device of each node, of which its workers are created; by default "cpu".
    """

    def __init__(
        self, script: Script | None = None, nodes: Sequence[int] = (1,), devices: Sequence[str] | None = None
    ) -> None:
        self.script = script or Script()
        self.nodes = tuple(nodes)
        self.devices = tuple(devices or ["cpu"] * len(self.nodes))
        self.allocation = Allocation(sum(self.nodes), 1, 0.0)
        self.clock = VirtualClock()

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        try:
            workers = {device: make_worker(WorkerSite(device)) for device in dict.fromkeys(self.devices)}
        except Exception as error:
            source.on_worker_failed(reason(error))
            source.tick()
            return
        _Simulation(self, [workers[device] for device in self.devices], source).run()

    def call(self, function: Callable[..., Result], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Result:
        tick()
        try:
            return function(*arguments, "cpu")
        except Exception as error:
            raise StudyError(reason(error)) from None


class _Simulation:
    """The state of a simulated run; `workers` are those of the nodes."""

    def __init__(self, simulator: Simulator, workers: Sequence[Worker], source: TaskSource) -> None:
        self.script = simulator.script
        self.clock = simulator.clock
        self.workers = workers
        self.source = source
        self.free = list(simulator.nodes)
        self.running: list[_Attempt] = []
        self.retries: list[tuple[Task, int]] = []  # tasks to retry, and their attempt
        self.changes: list[tuple[float, int, int]] = []  # (time, node, change of its workers), the next first
        for loss in self.script.losses:
            size = simulator.nodes[loss.node]
            heapq.heappush(self.changes, (loss.time_s, loss.node, -size))
            if loss.absent_s != float("inf"):
                heapq.heappush(self.changes, (loss.time_s + loss.absent_s, loss.node, size))
        self.order = itertools.count()

    def run(self) -> None:
        """Run until the source has finished and every task has ended."""
        finished = False
        while True:
            self.source.tick()
            finished = self._assign(finished)
            if not self.running and not self.retries and finished:
                return
            self._advance()

    def _assign(self, finished: bool) -> bool:
        """Give tasks to free workers; returns True if the source has no more."""
        without: set[str | None] = set()  # devices for which there is no task now
        while (node := self._free_node(without)) is not None:
            device = device_of(self.workers[node])
            if self.retries:
                task, attempt = self.retries.pop(0)
            elif finished:
                break
            else:
                next_task = self.source.next_task_for(device)
                finished = next_task is FINISHED
                if not isinstance(next_task, Task):
                    without.add(device)
                    continue
                task, attempt = next_task, 0
            self.free[node] -= 1
            end_s = self.clock.now_s + self.script.duration_s(task, attempt)
            heapq.heappush(self.running, _Attempt(end_s, next(self.order), task, attempt, node))
            self.source.on_started(task)
        return finished

    def _free_node(self, without: Collection[str | None]) -> int | None:
        """A node with a free worker on another device than those `without` a task."""
        nodes = (node for node, free in enumerate(self.free) if free > 0)
        return next((node for node in nodes if device_of(self.workers[node]) not in without), None)

    def _advance(self) -> None:
        """Advance the clock to the next end of a task or change of a node."""
        next_end_s = self.running[0].end_s if self.running else float("inf")
        next_change_s = self.changes[0][0] if self.changes else float("inf")
        if next_end_s == next_change_s == float("inf"):
            raise RuntimeError("deadlock: the source waits, no task runs, and no node comes back")
        if next_change_s <= next_end_s:
            time_s, node, change = heapq.heappop(self.changes)
            self.clock.now_s = max(self.clock.now_s, time_s)
            self._change_node(node, change)
            return
        run = heapq.heappop(self.running)
        self.clock.now_s = max(self.clock.now_s, run.end_s)
        self.free[run.node] += 1
        if self.script.dies(run.task, run.attempt):
            self._lose(run, Loss("worker", "the worker died"))
        else:
            self.source.on_ended(run.task, self.workers[run.node].run(run.task.payload))

    def _change_node(self, node: int, change: int) -> None:
        if change > 0:
            self.free[node] = change
            return
        self.free[node] = 0
        lost = [run for run in self.running if run.node == node]
        self.running = [run for run in self.running if run.node != node]
        heapq.heapify(self.running)
        for run in sorted(lost):
            self._lose(run, Loss("node", f"node {node} was lost"))

    def _lose(self, run: _Attempt, loss: Loss) -> None:
        if self.source.on_lost(run.task, loss):
            self.retries.append((run.task, run.attempt + 1))
