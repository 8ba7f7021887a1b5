"""How far runs are, and how much time is left: from what workers write to what the display gets."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from nas.models.display import SilentDisplay
from nas.models.retrain.forecast import Forecast, RunForecast
from nas.models.retrain.plan.jobs import RetrainJob
from nas.models.retrain.plan.workers import Workers
from nas.models.retrain.processes.run_counter import shown_runs
from nas.models.retrain.processes.time_left import RunPace, time_left_s
from nas.models.retrain.subjects.subject import Subject
from nas.models.retrain.tables import forecast_line
from nas.models.retrain.training.progress import (
    FIRST_AFTER_S,
    INTERVAL_S,
    PROGRESS,
    ProgressWriter,
    RunProgress,
    read_progress,
    write_progress,
)
from nas.study.config import Resources


def job(name: str, macs: int, root: Path) -> RetrainJob:
    folder = root / name
    folder.mkdir()
    return RetrainJob(Subject("baseline", name, "scratch", None, macs, 10), 0, str(folder))


def test_runs_that_wait_are_as_fast_as_those_that_run() -> None:
    running = RunPace(left_work=30.0, own_work=10.0, own_s=20.0)
    assert time_left_s([RunPace(5.0)], 1) is None
    assert time_left_s([running], 1) == pytest.approx(60)
    assert time_left_s([running, RunPace(10.0)], 1) == pytest.approx(80)
    assert time_left_s([running, RunPace(10.0)], 2) == pytest.approx(60)  # the longest of them
    assert time_left_s([running, RunPace(0.0, 10.0, 40.0), RunPace(10.0)], 1) == pytest.approx(90)  # the mean pace is 3
    assert time_left_s([RunPace(0.0, 1.0, 1.0)], 3) == 0


def test_progress_is_written_soon_and_then_every_few_seconds(tmp_path: Path) -> None:
    now_s, written = 100.0, []
    writer = ProgressWriter(tmp_path, lambda: written.append(now_s), lambda: now_s)
    writer.on_step(2.5)  # where a checkpoint ended
    now_s = 130.0  # the first step compiles the network
    writer.on_step(2.75)
    assert read_progress(tmp_path) == RunProgress()
    now_s += FIRST_AFTER_S
    writer.on_step(3.25)
    assert read_progress(tmp_path) == RunProgress(3.25, 0.5, FIRST_AFTER_S)
    now_s += INTERVAL_S / 2
    writer.on_step(3.5)
    assert read_progress(tmp_path).epochs == 3.25
    now_s += INTERVAL_S / 2
    writer.on_step(4.25)
    assert read_progress(tmp_path) == RunProgress(4.25, 1.5, FIRST_AFTER_S + INTERVAL_S)
    assert len(written) == 2
    write_progress(tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_a_forecast_says_how_many_runs_are_left_and_for_how_long(tmp_path: Path) -> None:
    workers = Workers("local", Resources(workers=2), 1)  # type: ignore[call-arg]
    ended = RunForecast(job("ended", 10, tmp_path), 10.0, 10)
    runs = [RunForecast(job(name, 10, tmp_path), done, 10, 5, 60.0) for name, done in (("begun", 4.0), ("new", 0.0))]
    assert forecast_line(Forecast((ended,), workers)) == "1 run, all of which have ended"
    assert forecast_line(Forecast((ended, *runs), workers)) == "2 runs to train, 2 at a time: about 10 min 00 s"
    unknown = Forecast((ended, RunForecast(runs[1].job, 0.0, 10)), workers)
    assert "1 run to train, 2 at a time; the time is not known before" in forecast_line(unknown)


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"epochs": -1, "own_epochs": 0, "own_s": 0}', '{"epochs": "3"}'])
def test_damaged_progress_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / PROGRESS).write_text(content)
    assert read_progress(tmp_path) == RunProgress()


class _Recorded(SilentDisplay):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.opened: tuple[int, int, float | None] = (0, 0, None)
        self.calls: list[tuple[int, float, float | None]] = []

    def counter(self, text: str, total: int, done: int = 0, work: float | None = None) -> AbstractContextManager[Any]:
        self.opened = (total, done, work)
        return nullcontext(lambda count=1, weight=None, left_s=None: self.calls.append((count, weight, left_s)))


def test_the_display_gets_epochs_and_the_time_left_of_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.models.retrain.processes.run_counter.LOOK_INTERVAL_S", 0.0)
    large, small = job("large", 900_000, tmp_path), job("small", 100_000, tmp_path)
    write_progress(Path(large.folder), RunProgress(2.0, 2.0, 50.0))  # of a process that was interrupted
    display = _Recorded()
    with shown_runs([large, small], 10, display) as counter:
        assert display.opened == (20, 2, pytest.approx(8 * large.work + 10 * small.work))
        counter.look(workers=1)
        write_progress(Path(large.folder), RunProgress(4.5, 2.5, 10.0))
        counter.look(workers=1)
        (small.result_file).write_text(json.dumps({}))
        counter.look(workers=1)
    share = small.work / large.work
    assert display.calls[0] == (0, 0, None)
    assert display.calls[1] == (2, pytest.approx(2.5 * large.work), pytest.approx(4 * (5.5 + 10 * share)))
    assert display.calls[2] == (10, pytest.approx(10 * small.work), pytest.approx(4 * 5.5))
