"""Connects Ray Tune to the driver: a searcher that gets tasks from it, and a callback that reports how they end.

Tune's trials are never retried: a task that is lost is reported, and the driver gives it again as a new trial. (With reused
actors, Tune takes the death of a worker between two trials for a failure of the next one, which had not started.)
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.search.searcher import Searcher

from nas.execution.executors.ray_tune import adapter
from nas.execution.executors.ray_tune.address import connect_error
from nas.execution.executors.ray_tune.capacity import count_workers, workers_on
from nas.execution.executors.ray_tune.messages import (
    Ended,
    GivenTask,
    Lost,
    NoTaskNow,
    Raised,
    Report,
    Started,
    WantsTask,
    WorkerCount,
    WorkerFailed,
    WorkerRequest,
)
from nas.execution.executors.ray_tune.slots import WorkerSlots

NODES_INTERVAL_S = 1.0
"""Seconds between two looks at the nodes of the cluster."""
MORE_WORKERS = 8
"""Workers requested of an autoscaler at a time, beyond those that there is room for, if the study sets no number."""
NODE_GRACE_S = 2.0
"""Where a node is shut down, its workers may die a little before it: the death of a worker is reported after this time."""
MAX_FAILED_NODES = 3
"""If workers cannot be created on this number of nodes, the fault is not the nodes'."""


@dataclass
class Running:
    """A task that Tune runs: its name, its slot, and the id of its actor once a worker has received it."""

    name: str
    slot: int
    actor: str | None = None


@dataclass(frozen=True)
class Death:
    """The death of a worker, which waits for the news of its node until `report_s` (monotonic)."""

    name: str
    node: str | None
    report_s: float


class TaskSearcher(Searcher):
    """Gives the tasks of the driver to Tune.

    Args:
        ask: asks the driver for a task.
        send: sends a report to the driver.
        request: what a worker needs.
        is_private: True on a private Ray, of one node.
        max_tasks: the greatest number of tasks that are given.
    """

    def __init__(
        self,
        ask: Callable[[WantsTask], GivenTask | NoTaskNow],
        send: Callable[[Report], None],
        request: WorkerRequest,
        is_private: bool,
        max_tasks: int,
    ) -> None:
        super().__init__()
        self.ask = ask
        self.send = send
        self.request = request
        self.is_private = is_private
        self.max_tasks = max_tasks
        self.given = 0
        self.is_over = False  # the driver has no more tasks
        self.slots = WorkerSlots(lambda: {running.slot for running in self.running.values()})
        self.demand = adapter.Demand(request)
        self.has_tasks = True  # so said the driver's last answer
        self.running: dict[str, Running] = {}  # Tune's id of the trial -> task
        self.deaths: list[Death] = []
        self.nodes: dict[str, Mapping[str, Any]] = {}
        self.excluded: list[str] = []  # ids of nodes on which workers cannot be created
        self.workers = -1
        self.nodes_read_s = 0.0

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        # Without a trial, Tune makes no step and only asks, for minutes: the task of a death that waits for news may be the last.
        self.report_deaths()
        self.read_nodes()
        # One trial may wait for resources, so that an autoscaler sees the demand where there is no node.
        if len(self.running) >= max(1, self.workers):
            return None
        if self.given >= self.max_tasks:
            return str(self.FINISHED)
        for slot in self.slots.choices():
            task = self.ask(WantsTask(self.slots.devices.get(slot)))
            self.has_tasks = isinstance(task, GivenTask)
            if isinstance(task, GivenTask):
                return self._give(trial_id, task, slot)
            if task.is_finished:
                self.is_over = True
                return str(self.FINISHED)
        return None

    def _give(self, trial_id: str, task: GivenTask, slot: int) -> dict[str, Any]:
        """Tune's configuration of a trial that runs `task` on the worker of `slot`."""
        self.given += 1
        self.running[trial_id] = Running(task.name, slot)
        return {"payload": dict(task.payload), "slot": slot, "excluded": list(self.excluded)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: a task has one result, its last."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error or result is None or trial_id not in self.running:
            return  # `on_trial_error` of the callback follows
        running = self.running.pop(trial_id)
        name = running.name
        answer = json.loads(result["answer"])
        if "result" in answer:
            self.slots.learn(running.slot, answer["device"])
            self.send(Ended(name, answer["result"]))
        elif "raised" in answer:
            self.send(Raised(name, answer["raised"]))
        else:
            self.slots.discard(running.slot)
            self._exclude(name, answer["node"], answer["failed"])

    def lose(self, trial_id: str) -> None:
        """Report that a task has ended without a result, now or when it is known whether its node lives."""
        running = self.running.pop(trial_id)
        self.slots.forget(running.slot)
        node = None if running.actor is None else adapter.node_of(running.actor)
        grace_s = 0.0 if self.is_private else NODE_GRACE_S
        self.deaths.append(Death(running.name, node, time.monotonic() + grace_s))
        self.report_deaths()

    def report_deaths(self) -> None:
        """Report the deaths of workers, each with its node if that is lost, too."""
        due = [death for death in self.deaths if time.monotonic() >= death.report_s]
        self.deaths = [death for death in self.deaths if death not in due]
        for death in due:
            if self.is_private or death.node is None:
                self.send(Lost(death.name, "worker", "the worker died"))
            elif self._is_lost(death.node):
                self.send(Lost(death.name, "node", f"node {self._address(death.node)} was lost"))
            else:
                self.send(Lost(death.name, "worker", f"the worker died on node {self._address(death.node)}"))

    def _is_lost(self, key: str) -> bool:
        """True if the node with the id `key` does not answer. The cluster itself takes 15 s or more to notice that."""
        node = adapter.living_nodes().get(key)
        return node is None or connect_error(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}") is not None

    def read_nodes(self) -> None:
        """Look at the nodes of the cluster, and report how many workers they have room for."""
        if self.workers >= 0 and (self.is_private or time.monotonic() - self.nodes_read_s < NODES_INTERVAL_S):
            return
        self.nodes_read_s = time.monotonic()
        living = adapter.living_nodes()
        self.nodes.update(living)
        usable = [node["Resources"] for key, node in living.items() if key not in self.excluded]
        workers = count_workers(usable, self.request)
        if workers != self.workers:
            self.workers, self.slots.limit = workers, max(1, workers)
            self.send(WorkerCount(workers))
        if not self.is_private:
            self._show_demand()

    def _show_demand(self) -> None:
        """Ask for more workers while all are busy and there are more tasks."""
        limit = self.request.limit or self.workers + MORE_WORKERS
        is_short = self.has_tasks and len(self.running) >= max(1, self.workers)
        self.demand.show(max(0, limit - max(1, self.workers)) if is_short else 0)

    def end(self) -> None:
        """Report the deaths that wait for news, and ask for no more workers."""
        while self.deaths:
            time.sleep(0.1)
            self.report_deaths()
        self.demand.show(0)

    def _exclude(self, name: str, node: str, reason: str) -> None:
        """Use a node no more on which a worker cannot be created."""
        if node not in self.excluded:
            self.excluded.append(node)
        self.nodes.update(living := adapter.living_nodes())
        others = [key for key in living if key not in self.excluded]
        is_last = len(self.excluded) >= MAX_FAILED_NODES or not any(
            workers_on(living[key]["Resources"], self.request) for key in others
        )
        where = "" if self.is_private else f"node {self._address(node)}: "
        self.send(WorkerFailed(name, f"{where}{reason}", is_last))

    def _address(self, node: str) -> str:
        """The address of a node, as a user knows it."""
        return str(self.nodes[node]["NodeManagerAddress"]) if node in self.nodes else node[:8]

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the state is the storage of the study."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles the searcher for a restore, which is never done here

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Do nothing."""


class TaskCallback(tune.Callback):
    """Reports starts and losses of tasks; Tune calls it at least ten times a second.

    Args:
        searcher: knows the tasks.
        step: called at each step of Tune.
    """

    def __init__(self, searcher: TaskSearcher, step: Callable[[], None]) -> None:
        self.searcher = searcher
        self.step = step

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Report that a worker has received the task."""
        running = self.searcher.running.get(trial.trial_id)
        if running is not None:
            running.actor = adapter.actor_id(trial.temporary_state.ray_actor)
            self.searcher.send(Started(running.name))

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Report that a task was lost."""
        if trial.trial_id in self.searcher.running:
            self.searcher.lose(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Remove the folder of the trial, which holds nothing that is needed."""
        shutil.rmtree(trial.local_path, ignore_errors=True)

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Look at the nodes."""
        self.step()
        self.searcher.report_deaths()
        self.searcher.read_nodes()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in `TaskSearcher`
