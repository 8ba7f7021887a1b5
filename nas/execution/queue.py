"""A fixed list of tasks as a `TaskSource`, for fidelity runs and benchmarks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nas.execution.base import FINISHED, NoTask, Task, TaskSource


class TaskQueue(TaskSource):
    """Gives tasks in order.

    Args:
        tasks: the tasks.
        on_result: called with each task that has ended and its result; None: the worker died.
        on_tick: called several times a second; an exception, such as `KeyboardInterrupt`, ends the run.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        on_result: Callable[[Task, Mapping[str, Any] | None], None],
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.tasks = deque(tasks)
        self.on_result = on_result
        self.on_tick = on_tick

    def next_task(self) -> Task | NoTask:
        return self.tasks.popleft() if self.tasks else FINISHED

    def on_ended(self, task: Task, result: Mapping[str, Any] | None) -> None:
        self.on_result(task, result)

    def tick(self) -> None:
        super().tick()
        self.on_tick()
