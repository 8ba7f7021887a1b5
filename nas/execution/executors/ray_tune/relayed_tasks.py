"""The tasks of a source on their way through the host process, which may be lost with all that it runs."""

from __future__ import annotations

from collections import deque

from nas.execution.base import FINISHED, Loss, Task, TaskSource
from nas.execution.executors.ray_tune.messages import Ended, GivenTask, NoTaskNow


class RelayedTasks:
    """The tasks of a source on their way through the host: those that it runs, and those that it must run again.

    Args:
        source: gives the tasks and receives their results.
    """

    def __init__(self, source: TaskSource) -> None:
        self.source = source
        self.running: dict[str, Task] = {}
        self.started: set[str] = set()
        self.again: deque[Task] = deque()

    def next(self, device: str | None = None) -> GivenTask | NoTaskNow:
        """The next task, for a worker of the host on `device`."""
        task = self.again.popleft() if self.again else self.source.next_task_for(device)
        if isinstance(task, Task):
            self.running[task.name] = task
            return GivenTask(task.name, task.payload)
        return NoTaskNow(is_finished=task is FINISHED and not self.running)  # running ones may be lost

    def start(self, name: str) -> None:
        """A worker has received the task `name`."""
        self.started.add(name)
        self.source.on_started(self.running[name])

    def end(self, report: Ended) -> None:
        """A task has ended."""
        self.started.discard(report.name)
        self.source.on_ended(self.running.pop(report.name), report.result)

    def lose(self, name: str, loss: Loss) -> None:
        """A task has ended without a result. One that no worker had received is simply given again."""
        task = self.running.pop(name)
        if name not in self.started:
            self.again.append(task)
            return
        self.started.discard(name)
        if self.source.on_lost(task, loss):
            self.again.append(task)

    def lose_all(self, loss: Loss) -> None:
        """All tasks have ended without a result."""
        for name in list(self.running):
            self.lose(name, loss)
