"""A fixed list of tasks as a `TaskSource`, for fidelity runs and benchmarks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nas.errors import StudyError
from nas.execution.base import FINISHED, Loss, NoTask, Task, TaskSource
from nas.execution.losses import LossPolicy


def raise_loss(task: Task, loss: Loss) -> None:
    """Raise `StudyError` for a task that is over without a result."""
    raise StudyError(f"task {task.name}: {loss.reason}")


class TaskQueue(TaskSource):
    """Gives tasks in order. A task that is lost is run again as often as `LossPolicy` allows.

    Args:
        tasks: the tasks.
        on_result: called with each task that has ended, and its result.
        on_loss: called with each task that is over without a result, and its last loss.
        on_tick: called several times a second; an exception, such as `KeyboardInterrupt`, ends the run.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        on_result: Callable[[Task, Mapping[str, Any]], None],
        on_tick: Callable[[], None] = lambda: None,
        on_loss: Callable[[Task, Loss], None] = raise_loss,
    ) -> None:
        self.tasks = deque(tasks)
        self.on_result = on_result
        self.on_tick = on_tick
        self.on_loss = on_loss
        self.policy = LossPolicy()

    def next_task(self) -> Task | NoTask:
        return self.tasks.popleft() if self.tasks else FINISHED

    def on_ended(self, task: Task, result: Mapping[str, Any]) -> None:
        self.on_result(task, result)

    def on_lost(self, task: Task, loss: Loss) -> bool:
        if self.policy.add(task, loss):
            return True
        self.on_loss(task, loss)
        return False

    def tick(self) -> None:
        super().tick()
        self.on_tick()
