"""How often a task is run again after it was lost."""

from __future__ import annotations

from typing import Any

import pytest

from nas.errors import StudyError
from nas.execution.base import Loss, Task
from nas.execution.losses import LossPolicy
from nas.execution.queue import TaskQueue
from nas.execution.simulator import NodeLoss, Script, Simulator

WORKER, NODE, CLUSTER = (Loss(kind, "lost") for kind in ("worker", "node", "cluster"))
FIRST, SECOND = Task("first", {}), Task("second", {})


@pytest.mark.parametrize(("loss", "retries"), [(WORKER, 1), (NODE, 3), (CLUSTER, 3)])
def test_a_task_is_run_again_after_one_death_of_its_worker_or_three_losses_of_its_node(
    loss: Loss, retries: int
) -> None:
    policy = LossPolicy()
    assert [policy.add(FIRST, loss) for _ in range(retries + 1)] == [True] * retries + [False]
    assert policy.add(SECOND, loss)


def test_losses_of_a_node_do_not_count_as_deaths_of_a_worker() -> None:
    policy = LossPolicy()
    assert all(policy.add(FIRST, loss) for loss in (NODE, WORKER, CLUSTER, NODE))
    assert not policy.add(FIRST, WORKER)


class Echo:
    """Returns its input."""

    def run(self, payload: Any) -> Any:
        """The payload."""
        return payload


def test_a_queue_runs_lost_tasks_again_and_reports_those_that_are_over() -> None:
    results: list[str] = []
    over: list[tuple[str, str]] = []
    queue = TaskQueue(
        [FIRST, SECOND],
        on_result=lambda task, result: results.append(task.name),
        on_loss=lambda task, loss: over.append((task.name, loss.reason)),
    )
    script = Script(dies=lambda task, attempt: task is SECOND, losses=[NodeLoss(0.5, node=0, absent_s=1.0)])
    Simulator(script, nodes=(2,)).run(lambda site: Echo(), queue)
    assert (results, over) == (["first"], [("second", "the worker died")])


def test_a_queue_ends_with_an_error_where_nobody_cares_for_lost_tasks() -> None:
    queue = TaskQueue([FIRST], on_result=lambda task, result: None)
    with pytest.raises(StudyError, match="task first: the worker died"):
        Simulator(Script(dies=lambda task, attempt: True)).run(lambda site: Echo(), queue)
