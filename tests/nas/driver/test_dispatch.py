"""The order of proposals, starts and records, on a simulated executor and by hand; trials of real processes are end-to-end
tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.driver.dispatch import TrialDispatcher
from nas.driver.rungs.promotion import Halving
from nas.errors import StudyError
from nas.execution.base import FINISHED, WAIT, Task
from nas.execution.simulator import NodeLoss, Script, Simulator, VirtualClock
from nas.sampler import ParetoSampler
from nas.study.events import SearchStarted, TrialRecorded, TrialStarted
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed, Paused
from nas.study.outcomes.worker_tasks import TrialTask
from nas.study.trials import is_trained
from search_space import Architecture, cost

WALL_S = 1e-9  # so short that the next proposal is always made ahead of time


class SimulatedWorker:
    """Trains nothing: accuracy rises with parameters and epochs."""

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a trial, or of its segment."""
        task = TrialTask.from_dict(payload)
        until = task.until or 9
        accuracy = 1 - 1 / (cost(Architecture.from_json(task.architecture)).params * until) ** 0.2
        curve = [{"epoch": epoch + 1} for epoch in range(until)]
        trained = Trained({"accuracy": accuracy}, curve, 1.0, 2.0, 0.1)
        outcome = Completed(task.seed, Measured({"images_per_s": 100.0}), trained)
        return to_record(outcome if until == 9 else Paused(**vars(outcome), epoch=until))


class EventRecorder:
    """An observer that stores every event."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def notify(self, event: object) -> None:
        """Store `event`."""
        self.all.append(event)


def result(wall_s: float = WALL_S) -> dict[str, Any]:
    return to_record(Completed(0, Measured({"images_per_s": 100.0}), Trained({"accuracy": 0.5}, [], 0.0, wall_s, 0.0)))


def number_of(study: optuna.Study, *states: TrialState) -> int:
    return len(study.get_trials(states=list(states)))


def next_task(dispatcher: TrialDispatcher) -> Task:
    task = dispatcher.next_task()
    assert isinstance(task, Task)
    return task


def simulate(
    driver: Any, study: optuna.Study, script: Script, nodes: tuple[int, ...] = (2,), **options: Any
) -> EventRecorder:
    """Run `study` on simulated workers."""
    events = EventRecorder()
    ask_tell = driver.ask_tell(study, observers=[events], **options)
    simulator = Simulator(script, nodes)
    dispatcher = TrialDispatcher(ask_tell, simulator.allocation.workers, clock=simulator.clock)
    ask_tell.start(simulator.allocation.workers)
    simulator.run(lambda site: SimulatedWorker(), dispatcher)
    dispatcher.write()
    return events


def test_a_result_is_written_before_the_next_proposal(driver: Any) -> None:
    study = driver.study()
    dispatcher = TrialDispatcher(driver.ask_tell(study, target=9), workers=1)
    for done in range(9):
        task = next_task(dispatcher)
        assert number_of(study, TrialState.COMPLETE) == done
        dispatcher.on_started(task)
        dispatcher.on_ended(task, result())
    assert dispatcher.next_task() is FINISHED
    assert number_of(study, TrialState.COMPLETE) == 9


def test_a_worker_gets_a_trial_proposed_ahead_before_its_last_result_is_written(driver: Any) -> None:
    study, clock = driver.study(), VirtualClock()
    dispatcher = TrialDispatcher(driver.ask_tell(study), workers=1, clock=clock)
    first = next_task(dispatcher)
    dispatcher.on_started(first)
    dispatcher.on_ended(first, result(0.0))
    second = next_task(dispatcher)
    dispatcher.on_started(second)
    clock.now_s += 1.0
    dispatcher.tick()  # with all workers busy
    assert (number_of(study, TrialState.COMPLETE), number_of(study, TrialState.RUNNING)) == (1, 2)
    dispatcher.on_ended(second, result(0.0))
    dispatcher.tick()
    third = next_task(dispatcher)
    dispatcher.tick()
    assert number_of(study, TrialState.COMPLETE) == 1
    dispatcher.on_started(third)
    dispatcher.tick()
    assert number_of(study, TrialState.COMPLETE) == 2


def test_a_result_does_not_wait_for_long(driver: Any) -> None:
    study, clock = driver.study(), VirtualClock()
    dispatcher = TrialDispatcher(driver.ask_tell(study), workers=2, clock=clock)
    first, _ = next_task(dispatcher), next_task(dispatcher)
    dispatcher.on_started(first)
    dispatcher.on_ended(first, result(wall_s=60.0))
    dispatcher.tick()  # the second has not started, and may not for a long time
    assert number_of(study, TrialState.COMPLETE) == 0
    clock.now_s += 0.21
    dispatcher.tick()
    assert number_of(study, TrialState.COMPLETE) == 1


def test_a_worker_that_cannot_start_ends_the_search_and_its_trial_stays(driver: Any) -> None:
    study = driver.study()
    dispatcher = TrialDispatcher(driver.ask_tell(study), workers=1)
    next_task(dispatcher)
    dispatcher.on_worker_failed("no images")
    dispatcher.write()
    with pytest.raises(StudyError, match="a worker cannot start: no images"):
        dispatcher.tick()
    (trial,) = study.trials
    assert trial.state == TrialState.RUNNING


def test_a_signal_ends_the_search_at_the_next_step(driver: Any) -> None:
    dispatcher = TrialDispatcher(driver.ask_tell(driver.study()), workers=1)
    task = next_task(dispatcher)
    dispatcher.interrupts.caught = True
    with pytest.raises(KeyboardInterrupt):
        dispatcher.tick()
    with pytest.raises(KeyboardInterrupt):
        dispatcher.on_ended(task, result())


def test_events_report_every_start_and_end_in_order(driver: Any) -> None:
    study = driver.study()
    events = simulate(driver, study, Script(), target=5).all
    assert isinstance(events[0], SearchStarted)
    assert (events[0].workers, events[0].target) == (2, 5)
    started = [event.number for event in events if isinstance(event, TrialStarted)]
    ended = [event.number for event in events if isinstance(event, TrialRecorded) and event.values]
    assert sorted(started) == sorted(ended)
    for number in ended:
        assert events.index(TrialStarted(number)) < next(
            i for i, event in enumerate(events) if isinstance(event, TrialRecorded) and event.number == number
        )


def test_a_task_is_retried_once_when_its_worker_dies_and_then_its_trial_fails(driver: Any) -> None:
    study = driver.study()
    dies = Script(dies=lambda task, attempt: task.payload["number"] in (0, 1) and attempt <= task.payload["number"])
    simulate(driver, study, dies, target=6)
    trials = {trial.number: trial for trial in study.trials if is_trained(trial)}
    assert len(trials) == 6
    assert [number for number, trial in trials.items() if trial.state == TrialState.FAIL] == [1]
    assert trials[1].user_attrs["failure"] == "the worker died"
    assert trials[0].state == TrialState.COMPLETE


def test_a_lost_node_loses_no_trial(driver: Any) -> None:
    study = driver.study()
    losses = (NodeLoss(2.5, node=1, absent_s=3.0), NodeLoss(9.5, node=0))
    durations = np.random.default_rng(0)
    script = Script(duration_s=lambda task, attempt: durations.uniform(0.5, 1.5), losses=losses)
    simulate(driver, study, script, nodes=(2, 2), target=20)
    trained = [trial for trial in study.trials if is_trained(trial)]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == 20
    assert all(trial.state == TrialState.COMPLETE for trial in trained)


@pytest.mark.parametrize("seed", range(4))
def test_halving_with_random_durations_deaths_and_losses_ends_every_trial(driver: Any, seed: int) -> None:
    study, rng = driver.study(), np.random.default_rng(seed)
    study.sampler = ParetoSampler(driver.space, {1: lambda a: cost(a).macs}, budget=9, seed=seed)
    deaths = rng.random(500) < 0.1
    script = Script(
        duration_s=lambda task, attempt: float(rng.exponential()),
        dies=lambda task, attempt: bool(deaths[3 * task.payload["number"] + attempt]),
        losses=[NodeLoss(float(time_s), node=1, absent_s=1.0) for time_s in (1.0, 4.0, 7.0)],
    )
    events = simulate(driver, study, script, nodes=(1, 2), target=16, promotion_rule=Halving((1, 3, 9), 3)).all
    trials = study.trials
    assert all(trial.state.is_finished() for trial in trials)
    trained = [trial for trial in trials if is_trained(trial)]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == 16
    last = {event.number: event.outcome for event in events if isinstance(event, TrialRecorded)}
    assert set(last) == {trial.number for trial in trials}
    assert not any(isinstance(outcome, Paused) for outcome in last.values())


def test_a_source_that_waits_for_nothing_is_a_deadlock(driver: Any) -> None:
    class Waits(TrialDispatcher):
        def next_task(self) -> Any:
            return WAIT

    dispatcher = Waits(driver.ask_tell(driver.study()), workers=1)
    with pytest.raises(RuntimeError, match="deadlock"):
        Simulator().run(lambda site: SimulatedWorker(), dispatcher)


def test_tasks_name_trial_folder_seed_and_segment(driver: Any) -> None:
    ask_tell = driver.ask_tell(driver.study(), promotion_rule=Halving((3, 9), 3))
    dispatcher = TrialDispatcher(ask_tell, workers=1)
    task = TrialTask.from_dict(next_task(dispatcher).payload)
    assert task.folder == str(ask_tell.folder_of(task.number))
    assert task.until == 3
    assert replace(task, number=task.number) == task
