"""Trials of two epochs on digits: measured, refused, trained, paused, continued, failed."""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.evaluation.evaluator import Evaluator
from nas.evaluation.measurer import Measurer
from nas.evaluation.settings import EvaluationSettings, MeasuringSettings
from nas.study.layout import CHECKPOINT, WEIGHTS
from nas.study.outcomes.outcome_parts import Measured
from nas.study.outcomes.record_json import from_record
from nas.study.outcomes.records import Completed, Failed, MachineFailure, MeasuredOnly, Paused, Refused
from nas.study.outcomes.stacks import Stacks
from nas.study.outcomes.worker_tasks import EarlierSegments, MeasureTask, TrialTask
from search_space import Architecture, SearchSpace
from trainers.data.config import DataConfig
from trainers.data.prepared import prepare
from trainers.device import device_name
from trainers.training.config import TrainConfig

QUICK: dict[str, Any] = {"min_time_s": 0.001, "max_time_s": 0.01}
SPACE = SearchSpace.from_dict(
    {
        "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "width": [8, 16], "depth": [1, 2]}],
        "stem": {"patch": 2},
        "image_size": 8,
        "in_chans": 1,
    }
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(DataConfig(limit=200), tmp_path_factory.mktemp("data"))


def evaluator(digits: Path, *measured: str, epochs: int = 2, **limits: float) -> Evaluator:
    measuring = MeasuringSettings(measured, limits, **QUICK)
    return Evaluator(EvaluationSettings(digits, TrainConfig(epochs=epochs), measuring=measuring), "cpu")


def task(folder: Path, draw: int = 0, **changes: Any) -> TrialTask:
    architecture = SPACE.sample(np.random.default_rng(draw))
    return replace(TrialTask(7, architecture.to_json(), 1, str(folder)), **changes)


def test_a_trial_is_measured_then_trained(digits: Path, tmp_path: Path) -> None:
    outcome = evaluator(digits, "images_per_s").evaluate(task(tmp_path))
    assert isinstance(outcome, Completed)
    assert not isinstance(outcome, Paused)
    trained = outcome.trained
    assert [epoch["epoch"] for epoch in trained.curve] == [1, 2]
    assert outcome.measured.values["images_per_s"] > 0
    assert trained.values == {"accuracy": trained.curve[-1]["val_accuracy"]}
    assert 0 < trained.train_s < trained.wall_s
    assert 0 < trained.overhead_s < trained.wall_s
    assert outcome.idle_s == 0.0  # the first trial of the worker


def measuring_on(digits: Path, kind: str | None, **limits: float) -> Evaluator:
    """An evaluator of a study that measures throughput on one kind of device."""
    measuring = MeasuringSettings(("images_per_s",), limits, **QUICK, device=kind)
    return Evaluator(EvaluationSettings(digits, TrainConfig(epochs=1), measuring=measuring), "cpu")


def test_a_worker_on_another_kind_of_device_trains_and_one_on_that_kind_measures(digits: Path, tmp_path: Path) -> None:
    trial = task(tmp_path)
    trained = measuring_on(digits, "H100").evaluate(trial)
    assert isinstance(trained, Completed)
    assert trained.measured == Measured()
    measure = MeasureTask(trial.number, trial.architecture, trial.seed)
    unmeasured = from_record(measuring_on(digits, "H100").run(measure.to_dict()))
    assert isinstance(unmeasured, MeasuredOnly)
    assert unmeasured.measured == Measured()
    measured = from_record(measuring_on(digits, "CPU", images_per_s=1e12).run(measure.to_dict()))
    assert isinstance(measured, MeasuredOnly)
    assert measured.measured.values["images_per_s"] > 0
    assert measured.measured.device == device_name(torch.device("cpu"))
    assert isinstance(measured.completes(trained), Refused)
    assert 0 < measured.wall_s < 60
    with_its_time = trained.trained.with_overhead(measured.wall_s)
    completed = replace(trained, measured=measured.measured, trained=with_its_time)
    assert replace(measured, violation=None).completes(trained) == completed


def test_the_stacks_of_a_worker_that_hangs_name_the_place_whether_it_trains_or_only_measures(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(measurer: Measurer, network: nn.Module, input_shape: tuple[int, int, int]) -> Measured:
        with (tmp_path / "stacks").open("w") as file:
            # As the watchdog does, but of one thread: no more than 100 are dumped, and the process of the tests may have more.
            faulthandler.dump_traceback(file, all_threads=False)
        return Measured({"images_per_s": 1.0})

    monkeypatch.setattr(Measurer, "measure", hang)
    trial, worker = task(tmp_path), measuring_on(digits, None)
    for work in (
        lambda: worker.evaluate(trial),
        lambda: worker.measure(MeasureTask(0, trial.architecture, trial.seed)),
    ):
        work()
        place = Stacks((tmp_path / "stacks").read_text(), is_hang=True).place
        assert place is not None
        assert place.startswith("evaluation/test_evaluator.py, line ")
        assert place.endswith(" in hang")


def test_a_finished_training_is_measured_again_if_that_was_on_another_kind(digits: Path, tmp_path: Path) -> None:
    first = measuring_on(digits, None).evaluate(task(tmp_path))
    assert isinstance(first, Completed)
    again = [measuring_on(digits, kind).evaluate(task(tmp_path)) for kind in ("cpu", "H100")]
    assert [outcome.measured for outcome in again if isinstance(outcome, Completed)] == [first.measured, Measured()]


def test_tasks_and_records_are_plain_json(digits: Path, tmp_path: Path) -> None:
    record = evaluator(digits).run(json.loads(json.dumps(task(tmp_path).to_dict())))
    outcome = from_record(json.loads(json.dumps(record, allow_nan=False)))
    assert isinstance(outcome, Completed)
    assert outcome.seed == 1


def test_a_trial_that_violates_a_measured_limit_is_not_trained(digits: Path, tmp_path: Path) -> None:
    outcome = evaluator(digits, "latency_ms", latency_ms=1e-9).evaluate(task(tmp_path))
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith("limit latency_ms")
    assert outcome.measured.values["latency_ms"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_later_segment_is_not_measured_again(digits: Path, tmp_path: Path) -> None:
    worker = evaluator(digits, "images_per_s")
    paused = worker.evaluate(task(tmp_path, until=1))
    assert isinstance(paused, Paused)
    assert paused.epoch == 1
    earlier = EarlierSegments({"images_per_s": 7.0}, overhead_s=10.0, idle_s=2.0)
    outcome = evaluator(digits, "images_per_s").evaluate(task(tmp_path, earlier=earlier))
    assert isinstance(outcome, Completed)
    assert outcome.measured.values == {}  # an earlier segment has measured it
    assert [epoch["epoch"] for epoch in outcome.trained.curve] == [1, 2]
    assert outcome.trained.overhead_s > 10
    assert outcome.idle_s == 2.0


def test_a_finished_training_is_not_repeated(digits: Path, tmp_path: Path) -> None:
    """The driver was killed before it recorded the outcome; the next driver proposes the trial again."""
    worker = evaluator(digits, "images_per_s")
    first = worker.evaluate(task(tmp_path))
    (tmp_path / CHECKPOINT).unlink(missing_ok=True)
    again = worker.evaluate(task(tmp_path))
    assert isinstance(first, Completed)
    assert isinstance(again, Completed)
    # The seconds of writing the weights are not in the record that is written with them.
    times = {"overhead_s": first.trained.overhead_s, "wall_s": first.trained.wall_s}
    assert replace(again, trained=replace(again.trained, **times), idle_s=first.idle_s) == first
    assert 0 < again.trained.overhead_s <= first.trained.overhead_s
    for other in (task(tmp_path, seed=2), task(tmp_path, draw=1)):  # other trainings do not get its outcome
        outcome = worker.evaluate(other)
        assert isinstance(outcome, Completed)
        losses = [epoch["train_loss"] for epoch in outcome.trained.curve]
        assert losses != [epoch["train_loss"] for epoch in first.trained.curve]
    (tmp_path / WEIGHTS).write_bytes(b"torn")
    outcome = worker.evaluate(task(tmp_path))
    assert isinstance(outcome, Completed)
    assert outcome.trained.values == first.trained.values


def test_a_finished_training_that_the_database_does_not_know_takes_its_rungs(digits: Path, tmp_path: Path) -> None:
    """The database is older than the files: power failed, or a backup was taken while the trial trained."""
    undisturbed = evaluator(digits, "images_per_s").evaluate(task(tmp_path / "undisturbed", until=1))
    worker = Evaluator(EvaluationSettings(digits, TrainConfig(epochs=2), rungs=(1, 2)), "cpu")
    finished = worker.evaluate(task(tmp_path, until=2))  # an earlier segment, not this one, has measured it
    assert isinstance(finished, Completed)
    before = (tmp_path / WEIGHTS).stat()
    paused = evaluator(digits, "images_per_s").evaluate(task(tmp_path, until=1))
    assert isinstance(undisturbed, Paused)
    assert isinstance(paused, Paused)
    assert paused.epoch == 1
    assert paused.trained.values == undisturbed.trained.values
    assert paused.trained.curve == finished.trained.curve[:1]
    assert paused.measured.values["images_per_s"] > 0
    assert 0 < paused.trained.train_s < finished.trained.train_s
    assert 0 < paused.trained.wall_s < finished.trained.wall_s
    again = worker.evaluate(task(tmp_path, until=2))
    assert isinstance(again, Completed)
    assert again.trained.curve == finished.trained.curve
    assert ((tmp_path / WEIGHTS).stat().st_ino, (tmp_path / WEIGHTS).stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )


@pytest.mark.parametrize("file", [CHECKPOINT, WEIGHTS])
def test_a_value_that_needs_the_network_is_that_of_the_network_at_the_rung(
    digits: Path, tmp_path: Path, file: str
) -> None:
    settings = EvaluationSettings(digits, TrainConfig(epochs=3), ("balanced_accuracy",))
    undisturbed = Evaluator(settings, "cpu").evaluate(task(tmp_path / "undisturbed", until=1))
    Evaluator(settings, "cpu").evaluate(task(tmp_path, until=3 if file == WEIGHTS else 2))
    assert (tmp_path / file).is_file()
    paused = Evaluator(settings, "cpu").evaluate(task(tmp_path, until=1))
    assert isinstance(undisturbed, Paused)
    assert isinstance(paused, Paused)
    assert paused.trained.values == undisturbed.trained.values


def test_a_training_that_starts_afresh_is_validated_at_the_rungs_that_it_passed(digits: Path, tmp_path: Path) -> None:
    train = TrainConfig(epochs=4, validate_every=4)
    worker = Evaluator(EvaluationSettings(digits, train, rungs=(1, 2, 4)), "cpu")
    paused = worker.evaluate(task(tmp_path, until=2))
    assert isinstance(paused, Paused)
    assert all(epoch["val_accuracy"] is not None for epoch in paused.trained.curve)
    (tmp_path / CHECKPOINT).unlink()
    completed = worker.evaluate(task(tmp_path, until=4))
    assert isinstance(completed, Completed)
    validated = [epoch["val_accuracy"] is not None for epoch in completed.trained.curve]
    assert validated == [True, True, False, True]


def test_an_exception_becomes_the_failure_of_its_trial_with_its_traceback(digits: Path, tmp_path: Path) -> None:
    worker = evaluator(digits)
    wide = Architecture.from_json(task(tmp_path).architecture)  # 2.5 TB of weights, which no machine holds
    mlp = {"name": "mlp", "expansion": 1e10}
    wide = wide.replace(stages=(wide.stages[0].replace(channel_mixer=mlp), *wide.stages[1:]))
    earlier = EarlierSegments(wall_s=1000.0)
    outcome = worker.evaluate(task(tmp_path, architecture=wide.to_json(), earlier=earlier))
    assert isinstance(outcome, Failed)
    assert outcome.wall_s is not None
    assert 1000 < outcome.wall_s < 2000  # all segments together
    assert "memory" in outcome.reason
    assert "\n" not in outcome.reason
    assert outcome.traceback.startswith("Traceback (most recent call last):")
    assert "initial_network" in outcome.traceback
    assert isinstance(worker.evaluate(task(tmp_path)), Completed)  # the worker is still usable


def test_the_wait_between_trials_is_counted(digits: Path, tmp_path: Path) -> None:
    worker = evaluator(digits, epochs=1)
    started = time.perf_counter()
    before = worker.evaluate(task(tmp_path / "a"))
    ended = time.perf_counter()
    time.sleep(0.05)
    begins = time.perf_counter()
    outcome = worker.evaluate(task(tmp_path / "b"))
    assert isinstance(before, Completed)
    assert isinstance(outcome, Completed)
    longest_s = time.perf_counter() - started - before.trained.wall_s - outcome.trained.wall_s
    assert begins - ended <= outcome.idle_s <= longest_s


def test_torch_uses_the_threads_of_the_settings(digits: Path) -> None:
    Evaluator(EvaluationSettings(digits, TrainConfig(epochs=1), threads=2), "cpu")
    assert torch.get_num_threads() == 2


def full_disk(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "model.safetensors")


def test_a_disk_without_room_for_the_weights_is_noticed_before_the_training(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full_disk)
    outcome = evaluator(digits).evaluate(task(tmp_path))
    assert isinstance(outcome, MachineFailure)
    assert outcome.is_certain
    assert outcome.trained is None
    assert "No space left on device" in outcome.reason
    assert "loop.py" not in outcome.traceback  # nothing was trained
    assert list(tmp_path.iterdir()) == []


def test_a_training_whose_weights_cannot_be_written_keeps_its_result(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = evaluator(digits, "images_per_s")
    with monkeypatch.context() as patch:
        patch.setattr("trainers.training.checkpoint.write_reserved", full_disk)
        outcome = worker.evaluate(task(tmp_path))
    assert isinstance(outcome, MachineFailure)
    assert outcome.is_certain
    assert outcome.trained is not None
    assert outcome.measured.values["images_per_s"] > 0
    again = worker.evaluate(task(tmp_path))
    assert isinstance(again, Completed)
    assert again.trained.values == outcome.trained.values


def test_a_disk_without_room_for_a_checkpoint_does_not_end_a_training_but_a_pause(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.training.checkpoint.ASSUMED_SAVE_S", 0.0)  # a checkpoint after each epoch
    monkeypatch.setattr("trainers.training.checkpoint.save", full_disk)
    assert isinstance(evaluator(digits).evaluate(task(tmp_path)), Completed)
    paused = evaluator(digits).evaluate(task(tmp_path / "paused", until=1))
    assert isinstance(paused, MachineFailure)
    assert paused.is_certain


def test_memory_may_be_the_fault_of_either(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: Any) -> None:
        raise MemoryError

    worker = evaluator(digits)
    monkeypatch.setattr("nas.evaluation.networks.build", exhausted)
    limited = worker.evaluate(task(tmp_path))  # with the limit on its memory, its architecture is at fault
    assert isinstance(limited, Failed)
    assert limited.infeasible == "out of memory"
    worker.memory_limit = None
    outcome = worker.evaluate(task(tmp_path))
    assert isinstance(outcome, MachineFailure)
    assert not outcome.is_certain
    assert outcome.traceback.startswith("Traceback")


def test_a_process_that_has_lost_its_device_ends_with_the_next_task(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def assertion(*arguments: Any) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    def end(code: int) -> None:
        raise SystemExit(code)

    worker = evaluator(digits)
    with monkeypatch.context() as patch:
        patch.setattr("nas.evaluation.networks.build", assertion)
        assert isinstance(worker.evaluate(task(tmp_path)), Failed)  # the network's fault
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit):
        worker.run(task(tmp_path).to_dict())
