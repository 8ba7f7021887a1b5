"""A study in PostgreSQL is the study that it would be in a file; its password is nowhere."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.errors import StorageError, UsageError
from nas.objectives import Direction
from nas.study.annotations import Annotations
from nas.study.content import StudySnapshot
from nas.study.database.driver_rows import read_drivers
from nas.study.database.drivers import drivers_of
from nas.study.database.leases import SharedLeases, SoleLeases
from nas.study.database.reader import list_studies
from nas.study.database.server_storage import create_server_study
from nas.study.database.storage import create_study, open_study, read_study, write_attributes
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.database.transactions import FileTransactions, ServerTransactions
from nas.study.database.trial_database import DatabaseTrials
from nas.study.database.trial_store import Lease, OptunaTrials, TrialChange, TrialStore

DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")


def create(folder: Path, url: str | None = None, directions: tuple[Direction, ...] = DIRECTIONS) -> Any:
    storage = None if url is None else StorageUrl.parse(url)
    folder.mkdir(exist_ok=True)
    names = ["a", "b"][: len(directions)]
    study = create_study(folder, "s", directions, {"config": {"trials": 3}}, names, [{"width": 8}], storage)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    return study


def store_of(kind: str, study: Any, folder: Path, url: str) -> TrialStore:
    if kind == "optuna":
        return OptunaTrials(study)
    if kind == "file":
        transactions = FileTransactions(folder / "study.db")
        return DatabaseTrials(study, transactions, SoleLeases(transactions))
    server = ServerTransactions(StoragePlace(StorageUrl.parse(url), "s"))
    leases = SharedLeases(server)
    leases.announce()
    return DatabaseTrials(study, server, leases)


def drive(store: TrialStore, values: list[float]) -> None:
    """Do every kind of step."""
    store.read()
    first = store.transact(lambda step: step.create())
    second = store.transact(lambda step: step.create({"width": 16, "depth": 2}))
    third = store.transact(lambda step: step.create())
    for number in (first, second, third):
        trial = store.open(number)
        trial.trial.suggest_categorical("width", [8, 16])
        trial.trial.suggest_int("depth", 1, 3)
        change = TrialChange({"id": f"é {number}", "curve": [{"epoch": 1, "x": 0.1}]}, {"macs": -1.5}, trial.params)
        store.transact(lambda step, number=number, change=change: step.write(number, change))
        trial.set_user_attr("seed", 7)
    store.transact(lambda step: step.write(first, TrialChange({"until": 3}, intermediate=(1, 0.25))))
    store.transact(lambda step: step.write(first, TrialChange({"until": None}, intermediate=(3, 0.5))))
    store.transact(lambda step: step.write(first, TrialChange(state=TrialState.PRUNED)))
    complete = TrialChange({"outcome": "completed"}, state=TrialState.COMPLETE, values=values)
    store.transact(lambda step: step.write(second, complete))
    store.transact(lambda step: step.write(third, TrialChange(state=TrialState.FAIL)))


@pytest.mark.parametrize(("kind", "objectives"), [("file", 2), ("file", 1), ("server", 2)])
def test_steps_write_what_optuna_would_write(kind: str, objectives: int, tmp_path: Path, database: str) -> None:
    directions, values = DIRECTIONS[:objectives], [0.1 + 0.2, 1e20][:objectives]
    expected = create(tmp_path / "a", None, directions)
    study = create(tmp_path / "b", database if kind == "server" else None, directions)
    drive(OptunaTrials(expected), values)
    store = store_of(kind, study, tmp_path / "b", database)
    drive(store, values)
    assert len(study.get_trials()) == 3
    for trial, other in zip(study.get_trials(), expected.get_trials(), strict=True):
        assert trial.state == other.state
        assert trial.user_attrs == {**other.user_attrs, "driver": store.driver}
        names = ("number", "values", "params", "distributions", "system_attrs", "intermediate_values", "constraints")
        for name in names:
            assert getattr(trial, name) == getattr(other, name), name
        assert abs((trial.datetime_start - other.datetime_start).total_seconds()) < 600
        assert trial.datetime_start <= trial.datetime_complete


@pytest.mark.parametrize("kind", ["file", "server"])
def test_a_step_that_fails_writes_nothing(kind: str, tmp_path: Path, database: str) -> None:
    study = create(tmp_path, database if kind == "server" else None)
    store = store_of(kind, study, tmp_path, database)
    store.read()
    number = store.transact(lambda step: step.create())

    def fail(step: Any) -> None:
        step.write(number, TrialChange({"id": "x"}))
        step.create()
        raise KeyError("interrupted")

    with pytest.raises(KeyError):
        store.transact(fail)
    (trial,) = study.get_trials()
    assert "id" not in trial.user_attrs
    assert store.transact(lambda step: step.lease(number)) is Lease.HELD
    assert store.transact(lambda step: step.create()) == 1


def test_steps_of_drivers_exclude_each_other(tmp_path: Path, database: str) -> None:
    study = create(tmp_path, database)
    stores = [store_of("server", study, tmp_path, database) for _ in range(4)]
    begun, numbers = threading.Barrier(4), []

    def work(store: TrialStore) -> None:
        begun.wait()
        numbers.extend([store.transact(lambda step: (step.read(), step.create())[1]) for _ in range(6)])

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(24))
    assert [trial.number for trial in study.get_trials()] == list(range(24))


def test_two_drivers_that_create_the_study_at_once_get_one(tmp_path: Path, database: str) -> None:
    begun, studies = threading.Barrier(3), []

    def work(name: str) -> None:
        begun.wait()
        studies.append(create(tmp_path / name, database))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    studies[0].ask()
    assert [len(study.get_trials()) for study in studies] == [1, 1, 1]  # the trial that was enqueued once
    assert {study.user_attrs["config"]["trials"] for study in studies} == {3}


def test_the_draft_of_a_driver_that_was_killed_is_removed_and_that_of_one_that_lives_is_not(
    tmp_path: Path, database: str
) -> None:
    url = StorageUrl.parse(database)
    killed = """
import os, sys
from nas.study.database.reader import list_studies
from nas.study.database.server_storage import create_server_study
from nas.study.database.storage_url import StoragePlace, StorageUrl
create_server_study(StoragePlace(StorageUrl.parse(sys.argv[1]), "s"), ["maximize"], lambda study: os._exit(9))
"""
    assert subprocess.run([sys.executable, "-c", killed, database], check=False).returncode == 9
    (draft,) = list_studies(database)
    assert draft.startswith("s (draft ")

    def create_another(study: optuna.Study) -> None:
        create_server_study(StoragePlace(url, "s"), ["maximize"], lambda other: None)
        assert study.study_name in list_studies(database)

    create_server_study(StoragePlace(url, "s"), ["maximize"], create_another)
    create_server_study(StoragePlace(url, "another"), ["maximize"], lambda study: None)
    assert sorted(list_studies(database)) == ["another", "s"]


def test_a_folder_without_a_database_is_read_like_one_with(tmp_path: Path, database: str) -> None:
    create(tmp_path, database)
    snapshot = StudySnapshot.of(tmp_path)
    assert (snapshot.name, len(snapshot.trials), snapshot.objective_count) == ("s", 1, 2)
    assert Annotations.of_folder(tmp_path).set_note(0, "look") == {0: "look"}
    write_attributes(tmp_path, {"test_accuracy": {"0": 0.5}})
    study = read_study(tmp_path)
    assert study.user_attrs["test_accuracy"] == {"0": 0.5}
    with pytest.raises(optuna.exceptions.StorageInternalError) as caught:
        study.set_user_attr("x", 1)
    assert "read-only transaction" in str(caught.value.__cause__)


def test_a_study_stays_where_it_is(tmp_path: Path, database: str) -> None:
    create(tmp_path / "file")
    create(tmp_path / "server", database)
    with pytest.raises(UsageError, match=r"^storage: the study in .* has its own database, study\.db, found postgres"):
        open_study(tmp_path / "file", StorageUrl.parse(database))
    with pytest.raises(UsageError, match=r"^storage: must stay postgresql://.*, found postgresql://me@host/db"):
        open_study(tmp_path / "server", StorageUrl.parse("postgresql://me@host/db"))


def test_what_is_wrong_with_a_database_is_one_line(tmp_path: Path, database: str, postgresql: Any) -> None:
    place = StoragePlace(StorageUrl.parse(database), "other")
    place.write(tmp_path)
    with pytest.raises(UsageError, match="holds no study 'other'"):
        open_study(tmp_path)
    wrong = StorageUrl.parse(database.replace("@", ":wr0ng%2Fword@"))
    with pytest.raises(UsageError, match="password authentication failed") as caught:
        open_study(tmp_path, wrong)
    assert "wr0ng" not in str(caught.value)
    assert "\n" not in str(caught.value)
    gone = StorageUrl.parse(f"postgresql://{postgresql.user}@127.0.0.1:1/x")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:1/x: .*refused"):
        ServerTransactions(StoragePlace(gone, "s"))


def test_drivers_announce_themselves(tmp_path: Path, database: str) -> None:
    create(tmp_path, database)
    server = ServerTransactions(StoragePlace(StorageUrl.parse(database), "s"))
    first, second = SharedLeases(server), SharedLeases(server)
    with first.held(), second.held():
        assert (first.index, second.index) == (0, 1)
        drivers = drivers_of(StudySnapshot.of(tmp_path).user_attrs)
        assert set(drivers) == {first.driver, second.driver}
        assert all(record.is_heard(StudySnapshot.of(tmp_path).now_s) for record in drivers.values())
        before = drivers[first.driver].beats
        first.beat()
        assert server.unlocked(lambda query: read_drivers(query, server.study))[first.driver].beats > before
    assert not drivers_of(StudySnapshot.of(tmp_path).user_attrs)


def test_the_only_driver_of_a_file_forgets_those_that_were_killed(tmp_path: Path) -> None:
    study = create(tmp_path)
    study.set_user_attr("driver:node/1/ab", {"host": "node"})
    study.set_user_attr("driver:node/2/cd", json.loads('{"host": "node", "pid": 2, "since": "", "at": 0, "beats": 1}'))
    leases = SoleLeases(FileTransactions(tmp_path / "study.db"))
    with leases.held():
        assert set(drivers_of(study.user_attrs)) == {leases.driver}
    assert not drivers_of(study.user_attrs)
