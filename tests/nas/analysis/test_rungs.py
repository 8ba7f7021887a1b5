"""The rungs of a study, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from nas.analysis.rungs import RungColumns


def curve(epochs: int, seconds: float = 2.0) -> list[dict[str, Any]]:
    return [{"epoch": 1 + epoch, "wall_s": seconds} for epoch in range(epochs)]


@pytest.fixture
def rungs() -> RungColumns:
    """Seven trials, rungs at 1, 3 and 9: complete, stopped at 1 and at 3, paused at 1, failed before 3, heading for 9, and new."""
    columns = RungColumns()
    columns.set(0, {1: 0.5, 3: 0.6}, 9, curve(9))
    columns.set(1, {1: 0.4}, 1, curve(1))
    columns.set(2, {1: 0.5, 3: 0.5}, 3, curve(3))
    columns.set(3, {1: 0.5}, 1, curve(1))
    columns.set(4, {1: 0.5}, 3, curve(2))
    columns.set(5, {1: 0.5, 3: 0.7}, 9, curve(3))
    columns.set(6, {}, 1, [])
    return columns


STATES = ["complete", "stopped", "stopped", "running", "failed", "running", "running"]


def test_trials_of_each_rung(rungs: RungColumns) -> None:
    rows = [(row.epoch, row.entered, row.promoted, row.ended) for row in rungs.rows(STATES)]
    assert rows == [(1, 7, 4, 1), (3, 4, 2, 2), (9, 2, 1, 0)]


def test_epochs_and_seconds_of_each_rung(rungs: RungColumns) -> None:
    rows = rungs.rows(STATES)
    assert [row.epochs for row in rows] == [6, 2 + 2 + 1 + 2, 6]
    assert [row.seconds for row in rows] == pytest.approx([12.0, 14.0, 12.0])
    assert rows[0].to_dict() == {"epoch": 1, "entered": 7, "promoted": 4, "ended": 1, "epochs": 6, "seconds": 12.0}


def test_a_trial_that_goes_on_replaces_its_epochs(rungs: RungColumns) -> None:
    rungs.set(3, {1: 0.5}, 3, curve(1))
    assert [row.entered for row in rungs.rows(STATES)] == [7, 5, 2]


def test_a_study_without_a_scheduler_has_no_rungs() -> None:
    columns = RungColumns()
    columns.set(0, {}, None, curve(5))
    assert columns.rows(["complete"]) == []
    assert RungColumns().rows([]) == []
