"""Which worker trained a trial, and when: announced by workers, written by the driver, also of workers that died."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.driver.dispatch import TrialDispatcher
from nas.driver.rungs.promotion import Halving
from nas.study.outcomes.record_json import from_record, segment_of, to_record
from nas.study.outcomes.records import Failed, MachineFailure, Paused, Refused
from nas.study.segments import SEGMENTS, Segment, WorkerFiles, segments_of

DIED = MachineFailure("the worker died", is_certain=False)

FIRST = Segment("node1/cuda:0/7", 1000.0, until=1)
SECOND = Segment("node2/cuda:1/8", 1010.0, 1015.0, 1.0, 3.0, 0.5, None, "completed")


@pytest.fixture
def files(tmp_path: Path) -> WorkerFiles:
    (tmp_path / "workers").mkdir()
    return WorkerFiles(tmp_path / "workers")


def stored(study: optuna.Study, number: int = 0) -> list[Segment]:
    return segments_of(study.get_trials(deepcopy=False)[number].user_attrs)


def test_a_running_trial_has_the_segment_that_its_worker_announced(driver: Any, files: WorkerFiles) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study, workers=files)
    proposal = ask_tell.propose()
    files.announce(proposal.number, FIRST)
    files.announce(99, Segment("node3/cpu/9", 1.0))  # of a trial that does not run
    ask_tell.segments.read_workers()
    assert stored(study) == [FIRST]
    ended = Segment(FIRST.worker, FIRST.start, 1004.0, outcome="completed")
    ask_tell.record(proposal.number, driver.completed(proposal), ended)
    assert stored(study) == [ended]  # the entry of the start became that of the end


@pytest.mark.parametrize("outcome", [Failed("loss is nan"), Refused("limit images_per_s: 4 < 5")])
def test_failed_and_refused_trials_have_segments(driver: Any, outcome: Failed | Refused) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study)
    ask_tell.record(ask_tell.propose().number, outcome, SECOND)
    assert stored(study) == [SECOND]


def test_each_segment_between_rungs_has_an_entry(driver: Any) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study, target=1, promotion_rule=Halving((1, 9), 2))
    proposal = ask_tell.propose()
    completed = driver.completed(proposal)
    paused = Segment(FIRST.worker, 1000.0, 1004.0, until=1, outcome="paused")
    ask_tell.record(proposal.number, Paused(**vars(completed), epoch=1), paused)
    again = ask_tell.propose()
    assert again.number == proposal.number
    ask_tell.record(again.number, completed, SECOND)
    assert stored(study) == [paused, SECOND]


def test_a_worker_that_died_leaves_a_lost_segment(driver: Any, files: WorkerFiles) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study, workers=files)
    proposal = ask_tell.propose()
    files.announce(proposal.number, FIRST)
    ask_tell.record(proposal.number, DIED)  # before the driver has looked at the files
    assert stored(study) == [FIRST.lost()]
    assert FIRST.lost().outcome == "lost"
    assert FIRST.lost().end is None


def test_a_resumed_trial_keeps_the_segment_that_was_cut_off(driver: Any, files: WorkerFiles) -> None:
    study = driver.study()
    killed = driver.ask_tell(study, workers=files)
    files.announce(killed.propose().number, FIRST)
    killed.segments.read_workers()
    successor = driver.ask_tell(study, workers=files)
    proposal = successor.propose()
    successor.segments.read_workers()  # the file of the killed worker says nothing new
    assert stored(study) == [FIRST]
    successor.record(proposal.number, driver.completed(proposal), SECOND)
    assert stored(study) == [FIRST.lost(), SECOND]


def test_a_task_that_the_executor_repeats_after_a_death_has_both_segments(driver: Any, files: WorkerFiles) -> None:
    study = driver.study()
    ask_tell = driver.ask_tell(study, workers=files)
    proposal = ask_tell.propose()
    files.announce(proposal.number, FIRST)
    ask_tell.segments.read_workers()
    files.announce(proposal.number, Segment(SECOND.worker, SECOND.start))
    ask_tell.segments.read_workers()
    assert stored(study) == [FIRST.lost(), Segment(SECOND.worker, SECOND.start)]
    ask_tell.record(proposal.number, driver.completed(proposal), SECOND)
    assert stored(study) == [FIRST.lost(), SECOND]


def test_the_dispatcher_looks_at_the_workers_once_a_second(driver: Any, files: WorkerFiles) -> None:
    study = driver.study()
    now = [0.0]
    dispatcher = TrialDispatcher(driver.ask_tell(study, workers=files), 1, clock=lambda: now[0])
    task = dispatcher.next_task()
    number = int(task.payload["number"])
    files.announce(number, FIRST)
    dispatcher.tick()
    assert stored(study) == []  # no worker has received the task yet, which takes precedence
    dispatcher.on_started(task)
    dispatcher.tick()
    assert stored(study) == [FIRST]
    files.announce(number, Segment(SECOND.worker, SECOND.start))
    now[0] = 0.9
    dispatcher.tick()
    assert len(stored(study)) == 1
    now[0] = 1.1
    dispatcher.tick()
    assert len(stored(study)) == 2


def test_the_segment_travels_beside_the_outcome(driver: Any) -> None:
    proposal = driver.ask_tell(driver.study()).propose()
    outcome = driver.completed(proposal)
    record = json.loads(json.dumps(to_record(outcome, SECOND)))
    assert from_record(record) == outcome
    assert segment_of(record) == SECOND
    assert segment_of(to_record(outcome)) is None
    later = {**SECOND.to_dict(), "a key of a later version": 1}
    assert Segment.from_dict(later) == SECOND


def test_studies_of_earlier_versions_have_no_segments() -> None:
    assert segments_of({"macs": 5}) == []
    assert segments_of({SEGMENTS: None}) == []


def test_damaged_files_are_skipped_and_the_folder_goes_with_the_search(tmp_path: Path) -> None:
    files = WorkerFiles(tmp_path / "workers")
    files.announce(0, FIRST)  # no folder: no search runs; the training goes on
    assert list(files.read()) == []
    with files.opened("nonce"):
        files.announce(3, FIRST)
        (files.folder / "other.json").write_text('{"trial": ')
        assert list(files.read()) == [(3, FIRST)]
    assert not files.folder.exists()
    assert (FIRST.host, FIRST.device) == ("node1", "cuda:0")
