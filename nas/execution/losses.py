"""Which tasks that ended without a result are run again.

A worker that dies may die of its task, so the task is run again once. A node or a cluster that is lost is not the fault of the
task; but a task that exhausts its machine may take it down, so there is a limit, too.
"""

from __future__ import annotations

from collections import Counter

from nas.execution.base import Loss, Task

MAX_RETRIES = {"worker": 1, "node": 3, "cluster": 3}
"""Kind of a loss -> number of times that a task is run again after losses of this kind."""


class LossPolicy:
    """Counts the losses of each task, and decides whether it is run again."""

    def __init__(self) -> None:
        self._losses: Counter[tuple[str, str]] = Counter()  # (name of the task, kind of the loss) -> number

    def add(self, task: Task, loss: Loss) -> bool:
        """Count `loss`; returns True if `task` is to be run again."""
        self._losses[task.name, loss.kind] += 1
        return self._losses[task.name, loss.kind] <= MAX_RETRIES[loss.kind]
