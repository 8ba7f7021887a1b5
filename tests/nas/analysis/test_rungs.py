"""The rungs of a study, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nas.analysis.rungs import RungColumns, RungRow


def curve(epochs: int, seconds: float = 2.0) -> list[dict[str, Any]]:
    return [{"epoch": 1 + epoch, "wall_s": seconds} for epoch in range(epochs)]


@pytest.fixture
def rungs() -> RungColumns:
    """Seven trials, rungs at 1, 3 and 9: complete, stopped at 1 and at 3, paused at 1, failed before 3, heading for 9, new."""
    columns = RungColumns()
    columns.assign(
        np.arange(7),
        [{1: 0.5, 3: 0.6}, {1: 0.4}, {1: 0.5, 3: 0.5}, {1: 0.5}, {1: 0.5}, {1: 0.5, 3: 0.7}, {}],
        [9, 1, 3, 1, 3, 9, 1],
        [curve(epochs) for epochs in (9, 1, 3, 1, 2, 3, 0)],
    )
    return columns


STATES = ["complete", "stopped", "stopped", "running", "failed", "running", "running"]


def rows_of(columns: RungColumns) -> list[RungRow]:
    names = sorted(set(STATES))
    return columns.rows(np.array([names.index(state) for state in STATES]), names)


def test_trials_of_each_rung(rungs: RungColumns) -> None:
    rows = [(row.epoch, row.entered, row.promoted, row.ended) for row in rows_of(rungs)]
    assert rows == [(1, 7, 4, 1), (3, 4, 2, 2), (9, 2, 1, 0)]


def test_epochs_and_seconds_of_each_rung(rungs: RungColumns) -> None:
    rows = rows_of(rungs)
    assert [row.epochs for row in rows] == [6, 2 + 2 + 1 + 2, 6]
    assert [row.seconds for row in rows] == pytest.approx([12.0, 14.0, 12.0])
    assert rows[0].to_dict() == {"epoch": 1, "entered": 7, "promoted": 4, "ended": 1, "epochs": 6, "seconds": 12.0}


def test_a_trial_that_goes_on_replaces_its_epochs(rungs: RungColumns) -> None:
    rungs.assign(np.array([3]), [{1: 0.5}], [3], [curve(1)])
    assert [row.entered for row in rows_of(rungs)] == [7, 5, 2]


def test_a_study_without_a_scheduler_has_no_rungs() -> None:
    columns = RungColumns()
    columns.assign(np.arange(1), [{}], [None], [curve(5)])
    assert columns.rows(np.zeros(1, np.int64), ["complete"]) == []
    assert RungColumns().rows(np.empty(0, np.int64), []) == []
