"""Failures that are the machine's, and those that may be: trials stay open, fail, or end the search."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.driver.ask_tell import AskTell
from nas.driver.dispatch import TrialDispatcher
from nas.driver.proposal import Finished, Proposal
from nas.driver.run import run_search
from nas.driver.rungs.promotion import Halving
from nas.errors import MachineError
from nas.execution.base import Executor, Loss, Task, TaskSource, WorkerFactory
from nas.execution.resources import Allocation
from nas.study.config import StudyConfig
from nas.study.database.storage import open_study
from nas.study.layout import trial_folder
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed, MachineFailure

DIED = MachineFailure("the worker died", is_certain=False)

FULL = MachineFailure("OSError: [Errno 28] No space left on device", is_certain=True, traceback="Traceback ...\n")
MEMORY = MachineFailure("MemoryError", is_certain=False, traceback="Traceback ...\n", seed=1, wall_s=2.0)


def next_proposal(ask_tell: AskTell) -> Proposal:
    proposal = ask_tell.propose()
    assert isinstance(proposal, Proposal)
    return proposal


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.get_trials()]


def test_the_machine_ends_the_search_and_leaves_the_trial_open(driver: Any) -> None:
    study = driver.study(stored=True)
    ask_tell = driver.ask_tell(study)
    proposal = next_proposal(ask_tell)
    with pytest.raises(MachineError, match=r"trial 0: OSError.*No space left on device \(see trials/00000/error.txt\)"):
        ask_tell.record(proposal.number, FULL)
    assert states(study) == [TrialState.RUNNING]
    assert "failure" not in study.get_trials()[0].user_attrs
    for _ in range(3):  # however often
        successor = driver.ask_tell(open_study(driver.folder))
        assert next_proposal(successor) == proposal
        with pytest.raises(MachineError):
            successor.record(proposal.number, FULL)
    successor = driver.ask_tell(open_study(driver.folder))
    successor.record(next_proposal(successor).number, driver.completed(proposal))
    assert states(open_study(driver.folder)) == [TrialState.COMPLETE]
    assert not (driver.folder / "00000" / "error.txt").exists()  # of an attempt that ended nothing


def test_the_result_of_a_training_whose_weights_could_not_be_written_is_kept(driver: Any) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    proposal = next_proposal(ask_tell)
    completed: Completed = driver.completed(proposal, 0.75, curve=[{"epoch": 1, "val_accuracy": 0.75}])
    failure = MachineFailure(
        FULL.reason, True, seed=proposal.seed, measured=completed.measured, trained=completed.trained
    )
    with pytest.raises(MachineError, match=r"trial 0, trained to accuracy 0\.7500, its weights not written: OSError"):
        ask_tell.record(proposal.number, failure)
    (trial,) = study.get_trials()
    assert trial.state == TrialState.RUNNING
    assert trial.user_attrs["curve"] == [{"epoch": 1, "val_accuracy": 0.75}]
    assert trial.user_attrs["images_per_s"] == 100.0


def test_a_trial_that_may_be_at_fault_fails_when_another_is_trained(driver: Any) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    first, second = next_proposal(ask_tell), next_proposal(ask_tell)
    ask_tell.record(first.number, MEMORY)
    assert states(study) == [TrialState.RUNNING, TrialState.RUNNING]
    ask_tell.record(second.number, driver.completed(second))
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.get_trials()[0].user_attrs["failure"] == "MemoryError (see trials/00000/error.txt)"
    assert ask_tell.state.trained == 2


def test_two_that_may_be_at_fault_in_a_row_are_the_machine(driver: Any) -> None:
    study = driver.study(stored=True)
    ask_tell = driver.ask_tell(study, target=3)
    first, second = next_proposal(ask_tell), next_proposal(ask_tell)
    ask_tell.record(first.number, MEMORY)
    with pytest.raises(MachineError, match=r"trial 0: MemoryError; trial 1: the worker died; no trial was trained"):
        ask_tell.record(second.number, DIED)
    assert states(study) == [TrialState.RUNNING, TrialState.RUNNING]
    # The next search repeats both; those that fail again are at fault, so that a search always advances.
    successor = driver.ask_tell(open_study(driver.folder), target=3)
    assert [next_proposal(successor), next_proposal(successor)] == [first, second]
    successor.record(first.number, MEMORY)
    successor.record(second.number, driver.completed(second))
    assert states(open_study(driver.folder)) == [TrialState.FAIL, TrialState.COMPLETE]
    third = next_proposal(successor)
    successor.record(third.number, driver.completed(third))
    assert successor.propose() == Finished()


@pytest.mark.parametrize("halving", [None, Halving((1, 9), 3)])
def test_a_trial_that_no_other_can_decide_fails(driver: Any, halving: Halving | None) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study, target=1, promotion_rule=halving)
    ask_tell.record(next_proposal(ask_tell).number, MEMORY)
    assert states(study) == [TrialState.RUNNING]
    assert ask_tell.propose() == Finished()
    assert states(study) == [TrialState.FAIL]


def test_the_other_results_are_recorded_when_the_machine_fails(driver: Any) -> None:
    study = driver.study()
    dispatcher = TrialDispatcher(driver.ask_tell(study), workers=3)
    tasks = [dispatcher.next_task() for _ in range(3)]
    good: Completed = driver.completed(Proposal(0, driver.space.nearest(next(iter(driver.space))), 0))
    for task, outcome in zip(tasks, (FULL, good, FULL), strict=True):
        assert isinstance(task, Task)
        dispatcher.on_started(task)
        dispatcher.on_ended(task, to_record(outcome))
    with pytest.raises(MachineError, match="trial 0: OSError"):
        dispatcher.tick()
    assert states(study) == [TrialState.RUNNING, TrialState.COMPLETE, TrialState.RUNNING]


def test_a_trial_held_at_the_end_of_the_run_fails_but_not_after_an_interruption(driver: Any) -> None:
    study = driver.study()
    dispatcher = TrialDispatcher(driver.ask_tell(study, target=1), workers=1)
    task = dispatcher.next_task()
    assert isinstance(task, Task)
    died = Loss("worker", "the worker died")
    assert dispatcher.on_lost(task, died)
    assert not dispatcher.on_lost(task, died)
    dispatcher.write()
    assert states(study) == [TrialState.RUNNING]
    dispatcher.settle()
    assert states(study) == [TrialState.FAIL]


class Stopped(Executor):
    """Its worker finds the disk full, and leaves a part of a file; at the same moment the user presses Ctrl-C."""

    allocation = Allocation(1, 1, 0.0)

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        task = source.next_task()
        assert isinstance(task, Task)
        assert folder is not None
        trial_folder(folder, 0).mkdir(parents=True)
        (trial_folder(folder, 0) / ".last.safetensors.1.tmp").touch()
        source.on_ended(task, to_record(FULL))
        raise KeyboardInterrupt

    def call(self, function: Callable[..., Any], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Any:
        raise AssertionError("nothing is timed")


def test_a_fault_of_the_machine_at_the_end_of_a_search_leaves_no_temporary_file(tmp_path: Path) -> None:
    space = {"stem": {"patch": [2]}, "stages": [{"mixer": {"pool": None}, "depth": [1], "width": [8, 16]}]}
    data = {"source": "digits", "limit": 60}
    config = StudyConfig.model_validate({"data": data, "space": space, "objectives": ["accuracy"], "trials": 1})
    with pytest.raises(MachineError, match="No space left"):
        run_search(config, tmp_path / "study", open_with=lambda: nullcontext(Stopped()))
    assert list(trial_folder(tmp_path / "study", 0).glob(".*.tmp")) == []
