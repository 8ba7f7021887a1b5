"""A storage that is locked, full or away: outcomes wait in memory, and are written in order once it is back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.driver.dispatch import TrialDispatcher
from nas.driver.rungs.promotion import Halving
from nas.driver.storage_retry import StorageRetry
from nas.errors import StorageError
from nas.execution.base import FINISHED, WAIT, Task
from nas.execution.simulator import VirtualClock
from nas.study.database import transactions
from nas.study.database.leases import SharedLeases, SoleLeases
from nas.study.database.server_storage import open_server_study
from nas.study.database.storage import create_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.transactions import FileTransactions, ServerTransactions
from nas.study.database.trial_database import DatabaseTrials
from nas.study.database.trial_store import TrialStore
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed, Paused
from nas.study.trials import is_trained


@pytest.fixture(autouse=True)
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked file is an error after a moment."""
    monkeypatch.setattr(transactions, "BUSY_TIMEOUT_S", 0.05)


class Retry:
    """A `StorageRetry` with a clock that tests advance, and the lines that it shows."""

    def __init__(self, away_s: float = 600.0) -> None:
        self.clock = VirtualClock()
        self.lines: list[str] = []
        self.retry = StorageRetry(self.lines.append, self.clock, away_s)


def result(task: Task) -> dict[str, Any]:
    """The result of a task; its accuracy tells which."""
    number = task.payload["number"]
    trained = Trained({"accuracy": number / 100}, [], 0.0, 60.0, 0.0)
    completed = Completed(0, Measured({"images_per_s": 100.0}), trained)
    until = task.payload["until"]
    return to_record(completed if until in (None, 9) else Paused(**vars(completed), epoch=until))


def dispatcher_of(
    driver: Any, study: optuna.Study, store: TrialStore, retry: Retry, target: int, **options: Any
) -> TrialDispatcher:
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    ask_tell = driver.ask_tell(study, target, store=store, **options)
    return TrialDispatcher(ask_tell, 2, clock=retry.clock, retry=retry.retry)


def in_file(driver: Any, retry: Retry, target: int = 5) -> TrialDispatcher:
    study = driver.study(stored=True)
    steps = FileTransactions(driver.folder / "study.db")
    return dispatcher_of(driver, study, DatabaseTrials(study, steps, SoleLeases(steps)), retry, target)


def start(dispatcher: TrialDispatcher) -> Task:
    task = dispatcher.next_task()
    assert isinstance(task, Task)
    dispatcher.on_started(task)
    return task


def wait(dispatcher: TrialDispatcher, retry: Retry, seconds: float) -> None:
    """Let time pass."""
    for _ in range(int(seconds)):
        retry.clock.now_s += 1.0
        dispatcher.tick()


def accuracies(study: optuna.Study) -> list[float]:
    complete = [trial for trial in study.get_trials() if trial.state == TrialState.COMPLETE]
    return [trial.values[0] for trial in sorted(complete, key=lambda trial: trial.datetime_complete)]


def test_outcomes_wait_while_the_file_is_locked_and_are_written_in_order(driver: Any) -> None:
    retry = Retry()
    dispatcher = in_file(driver, retry)
    first, second = start(dispatcher), start(dispatcher)
    with closing(sqlite3.connect(driver.folder / "study.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        dispatcher.on_ended(second, result(second))
        wait(dispatcher, retry, 3)
        dispatcher.on_ended(first, result(first))
        assert dispatcher.next_task() is WAIT
        wait(dispatcher, retry, 100)
        other.execute("COMMIT")
    wait(dispatcher, retry, 20)
    assert accuracies(dispatcher.ask_tell.state.study) == [0.01, 0.0]
    assert len(retry.lines) == 2
    assert "study.db: cannot be written: database is locked; trying again for 10 min 00 s" in retry.lines[0]
    assert retry.lines[1].startswith("the storage is back after ")
    for _ in range(3):
        task = start(dispatcher)
        dispatcher.on_ended(task, result(task))
    assert dispatcher.next_task() is FINISHED
    assert len(accuracies(dispatcher.ask_tell.state.study)) == 5


def test_a_storage_that_stays_away_ends_the_search_in_one_line(driver: Any) -> None:
    retry = Retry(away_s=30.0)
    dispatcher = in_file(driver, retry)
    task = start(dispatcher)
    with closing(sqlite3.connect(driver.folder / "study.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        dispatcher.on_ended(task, result(task))
        with pytest.raises(StorageError, match=r"study\.db: cannot be written: database is locked$"):
            wait(dispatcher, retry, 60)
        assert 29 <= retry.clock.now_s <= 33
        other.execute("COMMIT")
    dispatcher.write()  # as the end of a search tries
    assert accuracies(dispatcher.ask_tell.state.study) == [0.0]


def test_a_full_disk_ends_the_search_soon(driver: Any) -> None:
    retry = Retry()
    dispatcher = in_file(driver, retry)
    task = start(dispatcher)
    with closing(sqlite3.connect(driver.folder / "study.db")) as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    store = dispatcher.ask_tell.state.store
    assert isinstance(store, DatabaseTrials)
    store.transactions.unlocked(lambda query: query(f"PRAGMA max_page_count={pages}", ()))
    filler = {"curve": [{"epoch": 1, "text": "x" * 10**6}]}
    full = to_record(
        Completed(0, Measured({"images_per_s": 1.0}), Trained({"accuracy": 0.5}, filler["curve"], 0, 1, 0))
    )
    dispatcher.on_ended(task, full)
    with pytest.raises(StorageError, match=r"database or disk is full$"):
        wait(dispatcher, retry, 60)
    assert retry.clock.now_s < 15
    store.transactions.unlocked(lambda query: query("PRAGMA max_page_count=100000", ()))
    dispatcher.write()
    assert accuracies(dispatcher.ask_tell.state.study) == [0.5]


def test_a_server_that_is_away_for_minutes(driver: Any, database: str, postgresql: Any, tmp_path: Path) -> None:
    place = StoragePlace(StorageUrl.parse(database), "s")
    directions = [objective.direction for objective in driver.objectives]
    create_study(tmp_path, "s", directions, {}, storage=place.url)
    study, steps, retry = open_server_study(place), ServerTransactions(place), Retry()
    leases = SharedLeases(steps, clock=retry.clock)
    leases.announce()
    dispatcher = dispatcher_of(driver, study, DatabaseTrials(study, steps, leases), retry, 5)
    first, second = start(dispatcher), start(dispatcher)
    postgresql.stop()
    try:
        dispatcher.on_ended(second, result(second))
        wait(dispatcher, retry, 200)
        with pytest.raises(StorageError):
            leases.beat()
        dispatcher.on_ended(first, result(first))
        assert dispatcher.next_task() is WAIT
    finally:
        postgresql.start()
    wait(dispatcher, retry, 20)
    leases.beat()
    assert accuracies(study) == [0.01, 0.0]
    assert [postgresql.password in line for line in retry.lines] == [False, False]
    for _ in range(3):
        task = start(dispatcher)
        dispatcher.on_ended(task, result(task))
    assert dispatcher.next_task() is FINISHED


class Unreliable:
    """Transactions whose answers may be lost."""

    def __init__(self, steps: FileTransactions) -> None:
        self.steps = steps
        self.study, self.directions = steps.study, steps.directions
        self.unlocked, self.to_time = steps.unlocked, steps.to_time
        self.rng = np.random.default_rng(0)

    def locked(self, transaction: Any) -> Any:
        """Do it, and lose the question or the answer as often as not."""
        draw = self.rng.random()
        if draw < 0.25:
            self.steps.locked(lambda query: self._fail(transaction(query)))
        answer = self.steps.locked(transaction)
        if draw < 0.5:
            self._fail(answer)
        return answer

    def _fail(self, answer: Any) -> None:
        raise StorageError("server closed the connection unexpectedly")


@pytest.mark.parametrize("halving", [None, Halving((1, 3, 9), 3)])
def test_every_step_may_be_repeated(driver: Any, halving: Halving | None) -> None:
    study, retry = driver.study(stored=True), Retry()
    steps: Any = Unreliable(FileTransactions(driver.folder / "study.db"))
    leases = SharedLeases(steps, poll_s=0.0, clock=retry.clock)
    dispatcher = dispatcher_of(driver, study, DatabaseTrials(study, steps, leases), retry, 6, promotion_rule=halving)
    running: list[Task] = []
    for _ in range(1000):
        task = dispatcher.next_task() if len(running) < 2 else WAIT
        if task is FINISHED and not running:
            break
        if isinstance(task, Task):
            dispatcher.on_started(task)
            running.append(task)
        elif running:
            ended = running.pop(0)
            dispatcher.on_ended(ended, result(ended))
        wait(dispatcher, retry, 3)
    dispatcher.settle()
    trials = study.get_trials()
    trained = [trial for trial in trials if is_trained(trial)]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == 6
    assert all(trial.state.is_finished() for trial in trials)
    assert dispatcher.ask_tell.state.trained == 6
