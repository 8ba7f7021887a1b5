"""Trials that lose their worker, their node or the cluster: run again, held, failed, or infeasible."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.driver import dispatch
from nas.driver.dispatch import TrialDispatcher
from nas.driver.failure_streak import MAX_FAILURES
from nas.driver.proposal import Proposal
from nas.errors import MachineError
from nas.execution.base import Loss, Task
from nas.execution.simulator import VirtualClock
from nas.study.database.storage import open_study
from nas.study.layout import CHECKPOINT, ERROR, STACKS
from nas.study.outcomes.losses import TrialLoss, in_a_row, losses_of
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed, Failed, MachineFailure

CRASH = Loss("worker", "the worker died: segmentation fault (signal 11)")
KILLED = Loss("worker", "the worker died: killed (signal 9)")
NODE = Loss("node", "node 10.0.0.3 was lost")
CLUSTER = Loss("cluster", "the cluster was lost")

HANG = """\
Timeout (0:30:00)!
Thread 0x00007f0000000001 (most recent call first):
  File "/lib/python/threading.py", line 5 in wait

Thread 0x00007f0000000002 (most recent call first):
  File "/work/my_mixers/slow.py", line 12 in forward
  File "/work/nas/evaluation/evaluator.py", line 104 in _attempt
"""


def next_task(dispatcher: TrialDispatcher) -> Task:
    task = dispatcher.next_task()
    assert isinstance(task, Task)
    dispatcher.on_started(task)
    return task


def trial_of(study: optuna.Study, number: int) -> optuna.trial.FrozenTrial:
    return study.get_trials()[number]


def good(driver: Any) -> Completed:
    """The outcome of a training."""
    outcome: Completed = driver.completed(Proposal(0, driver.space.nearest(next(iter(driver.space))), 0))
    return outcome


def put_checkpoint(driver: Any, content: str) -> None:
    folder = driver.folder / "00000"
    folder.mkdir(exist_ok=True)
    (folder / CHECKPOINT).write_text(content)


def test_losses_are_stored_and_a_worker_that_dies_twice_in_the_same_way_makes_the_architecture_infeasible(
    driver: Any,
) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    dispatcher = TrialDispatcher(ask_tell, workers=2)
    first, second = next_task(dispatcher), next_task(dispatcher)
    assert dispatcher.on_lost(first, CRASH)
    dispatcher.write()
    (loss,) = losses_of(trial_of(study, 0).user_attrs)
    assert (loss.kind, loss.reason, loss.checkpoint) == ("worker", CRASH.reason, None)
    assert not dispatcher.on_lost(first, CRASH)
    dispatcher.write()
    assert trial_of(study, 0).state == TrialState.RUNNING  # held
    dispatcher.on_ended(second, to_record(good(driver)))
    dispatcher.write()
    failed = trial_of(study, 0)
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["failure"] == CRASH.reason
    assert failed.user_attrs["infeasible"] == "the worker crashed"
    assert len(losses_of(failed.user_attrs)) == 2


def test_a_worker_that_dies_in_two_ways_does_not(driver: Any) -> None:
    study = driver.study()
    dispatcher = TrialDispatcher(driver.ask_tell(study, target=1), workers=1)
    task = next_task(dispatcher)
    assert [dispatcher.on_lost(task, loss) for loss in (CRASH, KILLED)] == [True, False]
    dispatcher.settle()
    attributes = trial_of(study, 0).user_attrs
    assert attributes["failure"] == KILLED.reason
    assert "infeasible" not in attributes


def test_a_trial_that_loses_its_node_is_never_at_fault_but_is_not_run_without_end(driver: Any) -> None:
    study = driver.study(stored=True)
    dispatcher = TrialDispatcher(driver.ask_tell(study, target=2), workers=1)
    task = next_task(dispatcher)
    assert dispatcher.on_lost(task, NODE)
    assert dispatcher.on_lost(task, CLUSTER)
    dispatcher.write()
    successor = driver.ask_tell(open_study(driver.folder), target=2)  # it counts on
    dispatcher = TrialDispatcher(successor, workers=1)
    task = next_task(dispatcher)
    assert dispatcher.on_lost(task, NODE)
    assert not dispatcher.on_lost(task, NODE)
    dispatcher.write()
    failed = trial_of(open_study(driver.folder), 0)
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["failure"].startswith("lost 4 times without progress: node 10.0.0.3 was lost; the cluster")
    assert "infeasible" not in failed.user_attrs
    next_task(dispatcher)  # and the search goes on


def test_losses_do_not_count_while_the_trial_makes_progress(driver: Any) -> None:
    dispatcher = TrialDispatcher(driver.ask_tell(driver.study()), workers=1)
    task = next_task(dispatcher)
    for epoch in range(1, 9):
        put_checkpoint(driver, "x" * epoch)
        assert dispatcher.on_lost(task, NODE)
        assert dispatcher.on_lost(task, KILLED)
    assert not dispatcher.on_lost(task, KILLED)


def test_trials_that_were_lost_are_taken_up_after_the_others(driver: Any) -> None:
    study = driver.study(stored=True)
    dispatcher = TrialDispatcher(driver.ask_tell(study), workers=3)
    tasks = [next_task(dispatcher) for _ in range(3)]
    dispatcher.on_lost(tasks[0], NODE)
    dispatcher.write()
    successor = driver.ask_tell(open_study(driver.folder))
    assert [successor.propose().number for _ in range(3)] == [1, 2, 0]


def test_where_a_trial_hangs_or_crashes_is_its_reason_and_the_stack_its_traceback(driver: Any) -> None:
    study = driver.study()
    dispatcher = TrialDispatcher(driver.ask_tell(study, target=1), workers=1)
    task = next_task(dispatcher)
    folder = driver.folder / "00000"
    folder.mkdir()
    for is_again in (True, False):
        (folder / STACKS).write_text(HANG)
        assert dispatcher.on_lost(task, Loss("worker", "the worker died (exit code 1)")) == is_again
        assert not (folder / STACKS).exists()
    dispatcher.settle()
    attributes = trial_of(study, 0).user_attrs
    assert (
        attributes["failure"]
        == "no progress for 0:30:00, in my_mixers/slow.py, line 12 in forward (see trials/00000/error.txt)"
    )
    assert attributes["infeasible"] == "no progress"
    assert (folder / ERROR).read_text() == HANG


def test_the_death_of_a_worker_after_the_machine_had_stopped_is_not_the_trial_s(driver: Any) -> None:
    study, clock = driver.study(), VirtualClock()
    dispatcher = TrialDispatcher(driver.ask_tell(study), workers=1, clock=clock)
    task = next_task(dispatcher)
    dispatcher.tick()
    clock.now_s += 2 * dispatch.MAX_TICK_S
    dispatcher.tick()
    assert [dispatcher.on_lost(task, KILLED) for _ in range(2)] == [True, True]
    dispatcher.write()
    assert {loss.kind for loss in losses_of(trial_of(study, 0).user_attrs)} == {"node"}


def test_a_failure_that_is_repeated_in_the_same_way_is_infeasible(driver: Any) -> None:
    study = driver.study(stored=True)
    memory = MachineFailure("MemoryError", is_certain=False)
    ask_tell = driver.ask_tell(study, target=1)
    ask_tell.record(ask_tell.propose().number, memory)
    ask_tell.settle()
    (failed,) = study.get_trials()
    assert "infeasible" not in failed.user_attrs
    study.enqueue_trial(failed.params, user_attrs={"retried_from": 0})
    successor = driver.ask_tell(open_study(driver.folder), target=1)
    successor.record(successor.propose().number, memory)
    successor.settle()
    assert open_study(driver.folder).get_trials()[1].user_attrs["infeasible"] == "out of memory"


def test_ten_failures_of_one_kind_in_a_row_end_the_search_in_words(driver: Any) -> None:
    dispatcher = TrialDispatcher(driver.ask_tell(driver.study()), workers=1)

    def fail(value: int) -> None:
        dispatcher.on_ended(next_task(dispatcher), to_record(Failed(f"KeyError: no layer {value}")))
        dispatcher.tick()

    for value in range(MAX_FAILURES - 1):
        fail(value)
    dispatcher.on_ended(next_task(dispatcher), to_record(good(driver)))
    dispatcher.tick()
    for value in range(MAX_FAILURES - 1):
        fail(value)
    with pytest.raises(
        MachineError, match=r"10 trials failed in the same way.*trial \d+: KeyError: no layer 99.*--retry"
    ):
        fail(99)


def test_losses_of_another_shape_are_left_out() -> None:
    loss = TrialLoss(5.0, "node", "node 1 was lost")
    damaged: list[Any] = [None, 7, {}, {**loss.to_dict(), "kind": "x"}, {**loss.to_dict(), "at": "now"}, loss.to_dict()]
    assert losses_of({"losses": damaged}) == [loss]
    assert losses_of({"losses": "text"}) == losses_of({}) == in_a_row([]) == []
