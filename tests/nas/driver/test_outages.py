"""The database is away for a moment, at any moment of a search: at its start, while it proposes and records, at its end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import TrialState

from nas.driver.display import NoDisplay
from nas.driver.run import run_search
from nas.driver.start.driver_folders import driver_folder, remove_left_folders
from nas.execution.base import FINISHED, Executor, Task, TaskSource, WorkerFactory
from nas.execution.resources import Allocation
from nas.study.config import StudyConfig
from nas.study.database.drivers import LEASE_S, DriverRecord
from nas.study.database.leases import new_driver_id
from nas.study.database.storage import read_study
from nas.study.database.storage_url import StorageUrl
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.record_json import to_record
from nas.study.outcomes.records import Completed
from nas.study.segments import Segment, WorkerFiles

AWAY_S = 0.3
TRIALS = 6
SPACE = {
    "stem": {"patch": [2, 4]},
    "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "depth": [1, 2], "width": [16, 32]}],
}


class Instant(Executor):
    """Every task ends at once, without a worker; the number of workers changes at the second."""

    allocation = Allocation(1, 1, 0.0)

    def run(self, make_worker: WorkerFactory, source: TaskSource, folder: Path | None = None) -> None:
        for _ in range(5000):
            source.tick()
            task = source.next_task()
            if task is FINISHED:
                return
            if not isinstance(task, Task):
                time.sleep(0.01)
                continue
            source.on_started(task)
            source.on_workers(1 + task.payload["number"] % 2)
            source.on_ended(task, self._result(task))
        raise AssertionError("the search does not end")

    def _result(self, task: Task) -> Mapping[str, Any]:
        trained = Trained({"accuracy": 0.5 + task.payload["number"] / 100}, [], 0.0, 1.0, 0.0)
        return to_record(Completed(task.payload["seed"], Measured({}), trained))

    def call(self, function: Callable[..., Any], *arguments: Any, tick: Callable[[], None] = lambda: None) -> Any:
        raise AssertionError("nothing is timed")


class Lines(NoDisplay):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, text: str) -> None:
        self.lines.append(text)


def config() -> StudyConfig:
    data = {"source": "digits", "limit": 60}
    return StudyConfig.model_validate(
        {"data": data, "space": SPACE, "objectives": ["accuracy", "macs"], "trials": TRIALS}
    )


@contextmanager
def calling(statement: int, action: Callable[[], None]) -> Iterator[list[str]]:
    """Within the block `action` is called before the statement of this index; yields all statements."""
    statements: list[str] = []

    def before(connection: Any, cursor: Any, text: str, *rest: Any) -> None:
        statements.append(text)
        if len(statements) == statement + 1:
            action()

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", before)
    try:
        yield statements
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", before)


def search(folder: Path, url: str, display: Lines) -> None:
    run_search(config(), folder, display, open_with=lambda: nullcontext(Instant()), storage=StorageUrl.parse(url))


def check(folder: Path) -> None:
    study = read_study(folder)
    trials = study.get_trials()
    trained = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(trained) == len({trial.user_attrs["id"] for trial in trained}) == TRIALS
    assert all(trial.state.is_finished() for trial in trials)


@pytest.fixture(scope="module")
def statement_count(_postgresql: Any, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The number of statements of an undisturbed search."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", _postgresql.password)
        with calling(sys.maxsize, lambda: None) as statements:
            search(tmp_path_factory.mktemp("undisturbed"), _postgresql.create_database(), Lines())
    return len(statements)


@pytest.mark.parametrize("share", [0.21, 0.5, 0.99])
def test_a_search_goes_on_whenever_the_server_was_away(
    tmp_path: Path, postgresql: Any, database: str, statement_count: int, share: float
) -> None:
    display, restart = Lines(), threading.Timer(AWAY_S, postgresql.start)

    def crash() -> None:
        postgresql.stop()
        restart.start()

    try:
        with calling(int(share * statement_count), crash):  # at the start, while it proposes and records, at the end
            search(tmp_path / "study", database, display)
    finally:
        restart.join()
    check(tmp_path / "study")
    assert "trying again for 10 min" in display.lines[0]
    assert display.lines[1].startswith("the storage is back")
    assert not list((tmp_path / "study" / "workers").glob("*"))


def test_folders_of_drivers_that_were_killed_are_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    lives, alien, expired = new_driver_id(), "elsewhere/1/0123abcd", "elsewhere/2/0123abcd"
    killed = lives.rsplit("/", 2)[0] + f"/{ended.pid}/0123abcd"
    record = {"host": "elsewhere", "pid": 1, "since": "", "at": 1000.0, "beats": 1, "index": 0, "interval_s": 10.0}
    drivers = {name: DriverRecord(**record) for name in (lives, killed, alien)}  # type: ignore[arg-type]
    drivers[expired] = DriverRecord(**{**record, "at": 999.0 - LEASE_S})  # type: ignore[arg-type]
    for name in ("ray", "workers"):
        for driver in (lives, killed, alien, expired, "elsewhere/3/0123abcd"):
            (driver_folder(tmp_path, name, driver) / "files").mkdir(parents=True)
        (tmp_path / name / "other_1").mkdir()
    for number, driver in enumerate((lives, killed, expired)):
        WorkerFiles(driver_folder(tmp_path, "workers", driver)).announce(number, Segment("node/cpu/7", 0.0))
    assert remove_left_folders(tmp_path, drivers, 1000.0) == {1, 2}
    left = {"other_1", "elsewhere_3_0123abcd", *(driver.replace("/", "_") for driver in (lives, alien))}
    assert {path.name for path in (tmp_path / "ray").iterdir()} == left
    assert {path.name for path in (tmp_path / "workers").iterdir()} == left
