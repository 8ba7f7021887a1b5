"""Who searches a study: drivers that live or have ended, and the leases of the trials that run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nas.analysis.drivers import driver_rows, driver_statuses, lease_statuses
from nas.analysis.results import Results
from nas.study.database.drivers import LEASE_S, DriverRecord, drivers_of
from nas.study.database.reader import StudyReader
from nas.study.database.storage import open_study
from nas.study.lock import lock_folder
from nas.terminal.tables import status_panel, status_record

ALIVE, GONE = "node1/11/aaaaaaaa", "node2/22/bbbbbbbb"


@pytest.fixture
def folder(tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any) -> Path:
    """A study of two drivers, one of which has ended without a word."""
    drivers = (ALIVE, GONE, None, "node9/99/cccccccc")
    running = [stored_trial(None, None, {"driver": driver}) for driver in drivers]
    folder = study_writer(tmp_path / "s", [stored_trial([0.5, 1e6, 10.0]), *running])
    now_s = time.time()
    study = open_study(folder)
    study.set_user_attr(f"driver:{ALIVE}", asdict(DriverRecord("node1", 11, "2026-01-05T09:00:00+00:00", now_s - 4)))
    gone = DriverRecord("node2", 22, "2026-01-05T10:00:00+00:00", now_s - 2 * LEASE_S)
    study.set_user_attr(f"driver:{GONE}", asdict(gone))
    study.set_user_attr("driver:damaged", {"host": []})
    return folder


def test_drivers_and_leases(folder: Path) -> None:
    results = Results.load(folder)
    first, second = driver_statuses(results)
    assert (first.id, first.is_alive, first.trials) == (ALIVE, True, (1,))
    assert (second.id, second.is_alive, second.trials) == (GONE, False, (2,))
    assert [(lease.trial, lease.driver, lease.state) for lease in lease_statuses(results)] == [
        (1, ALIVE, "held"),
        (2, GONE, "expired"),
        (3, None, "left"),
        (4, "node9/99/cccccccc", "expired"),
    ]
    assert results.is_searched
    record = status_record(results)
    assert record["drivers"][1]["host"] == "node2"
    assert record["leases"][0] == {"trial": 1, "driver": ALIVE, "state": "held"}


def test_the_status_says_who_runs_what(folder: Path) -> None:
    rows = [text for _, text in driver_rows(Results.load(folder))]
    assert rows[0].startswith("node1, process 11, since 2026-01-05 09:00:00 UTC, heard of ")
    assert rows[0].endswith(" s ago, runs trial 1")
    assert re.search(r" UTC, has ended, last heard of 2 min \d\d s ago, runs trial 2$", rows[1])
    assert rows[2].startswith("trials 2, 3, 4 without a driver that lives")
    console = Console(width=200, record=True, file=StringIO())
    console.print(status_panel(Results.load(folder)))
    assert "node1, process 11" in console.export_text()


def test_trials_that_wait_for_their_measurement_are_told_from_those_that_were_left(
    tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any
) -> None:
    waiting = {"driver": None, "unmeasured": {"driver": ALIVE, "record": {}}}
    trials = [stored_trial([0.5, 1e6, 10.0]), stored_trial(None, None, waiting), stored_trial(None, None, waiting)]
    results = Results.load(study_writer(tmp_path / "s", trials))
    assert [lease.state for lease in lease_statuses(results)] == ["unmeasured"] * 2
    text = "trials 1, 2 trained, waiting to be measured"
    assert driver_rows(results) == [("leases", text)]


def test_a_study_without_drivers_has_no_row(digits_study: Path) -> None:
    results = Results.load(digits_study)
    assert driver_rows(results) == driver_statuses(results) == []
    assert [lease.state for lease in lease_statuses(results)] == ["left"]


def test_the_only_driver_of_a_file_lives_while_it_holds_the_lock(
    tmp_path: Path, study_writer: Callable[..., Path]
) -> None:
    folder = study_writer(tmp_path / "s")
    record = DriverRecord("node1", 11, "2026-01-05T09:00:00+00:00", 0.0, interval_s=0.0)
    open_study(folder).set_user_attr(f"driver:{ALIVE}", asdict(record))
    with lock_folder(folder):
        (status,) = driver_statuses(Results.load(folder))
        assert (status.is_alive, status.heartbeat_age_s) == (True, None)
    (status,) = driver_statuses(Results.load(folder))
    assert not status.is_alive


def test_a_heartbeat_is_no_news_for_those_who_watch(folder: Path) -> None:
    reader, study = StudyReader.of_folder(folder), open_study(folder)
    first = reader.read()
    assert set(drivers_of(first.attributes or {})) == {ALIVE, GONE}
    study.set_user_attr(f"driver:{ALIVE}", asdict(DriverRecord("node1", 11, "", 1.0, beats=2)))
    assert reader.read(first.cursor).attributes is None
    study.set_user_attr("end_reason", "x")
    assert reader.read(first.cursor).attributes is not None
