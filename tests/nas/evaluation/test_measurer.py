"""What a worker measures before a training, on real networks."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.evaluation.evaluator import Evaluator
from nas.evaluation.measurer import Measurer
from nas.evaluation.settings import MEASURED, Measuring, Setting
from nas.study.layout import CHECKPOINT, WEIGHTS
from search_space import Architecture, SearchSpace, build
from trainers.data.config import DataConfig
from trainers.data.prepared import prepare
from trainers.device_lock import DeviceLock
from trainers.measuring.memory import peak_memory_bytes
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


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def architecture() -> Architecture:
    return SPACE.sample(np.random.default_rng(0))


def measurer(folder: Path, **changes: Any) -> Measurer:
    return Measurer(Measuring(**{"names": MEASURED, **QUICK, **changes}), "cpu", DeviceLock("cpu", folder))


def test_all_that_can_be_measured(architecture: Architecture, tmp_path: Path) -> None:
    network = build(architecture)
    found = measurer(tmp_path, batch_size=16)(network, (1, 8, 8))
    assert set(found) == {"device", *MEASURED, "throughput", "latency"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found  # an attribute of the study
    low, high = found["throughput"]["images_per_s_interval"]
    assert low <= found["images_per_s"] <= high
    assert (found["throughput"]["batch_size"], found["latency"]["batch_size"]) == (16, 1)
    assert found["latency_ms"] > 0
    assert found["peak_memory_bytes"] == peak_memory_bytes(network, (1, 8, 8), batch_size=16)


def test_only_what_is_asked_for(architecture: Architecture, tmp_path: Path) -> None:
    assert measurer(tmp_path, names=())(build(architecture), (1, 8, 8)) == {}
    assert set(measurer(tmp_path, names=("peak_memory_bytes",))(build(architecture), (1, 8, 8))) == {
        "device",
        "peak_memory_bytes",
    }


def test_what_the_reference_took_at_first_is_remembered(architecture: Architecture, tmp_path: Path) -> None:
    file = tmp_path / "reference.json"
    network = build(architecture)
    first = measurer(tmp_path, reference_file=file)(network, (1, 8, 8))
    (kept,) = json.loads(file.read_text()).values()
    assert first["throughput"]["drift"] == 1.0
    # As if the machine had been a million times as fast when the study began: the next worker counts by that.
    (name,) = json.loads(file.read_text())
    file.write_text(json.dumps({name: kept / 1e6, "another device": 1.0}))
    later = measurer(tmp_path, reference_file=file)(network, (1, 8, 8))
    assert later["throughput"]["drift"] > 1e4
    assert later["images_per_s"] > 1e4 * first["images_per_s"]
    assert json.loads(file.read_text()) == {name: kept / 1e6, "another device": 1.0}


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"images_per_s": 1e9}, "limit images_per_s: .* < 1e\\+09"),
        ({"latency_ms": 1e-6}, "limit latency_ms: .* > 1e-06"),
        ({"peak_memory_bytes": 10}, "limit peak_memory_bytes: .* > 10"),
        ({"images_per_s": 1, "latency_ms": 1e6, "peak_memory_bytes": 1e12}, None),
    ],
)
def test_limits(architecture: Architecture, tmp_path: Path, limits: dict[str, float], words: str | None) -> None:
    one = measurer(tmp_path, limits=limits)
    broken = one.broken_limit(one(build(architecture), (1, 8, 8)))
    if words is None:
        assert broken is None
    else:
        assert broken is not None
        assert re.fullmatch(words, broken)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(DataConfig(limit=200), tmp_path_factory.mktemp("data"))


def trial(digits: Path, folder: Path, measuring: Measuring, **words: Any) -> dict[str, Any]:
    """The record of a trial of two epochs."""
    evaluator = Evaluator(Setting(digits, TrainConfig(epochs=2), measuring=measuring))
    return evaluator.run(SPACE.sample(np.random.default_rng(0)).to_json(), 1, folder, **words)


def test_a_trial_is_measured_then_trained(digits: Path, tmp_path: Path) -> None:
    record = trial(digits, tmp_path, Measuring(("images_per_s",), **QUICK))
    assert [epoch["epoch"] for epoch in record["curve"]] == [1, 2]
    assert record["images_per_s"] > 0
    assert 0 <= record["accuracy"] <= 1
    assert 0 < record["train_s"] < record["wall_s"]
    assert 0 < record["overhead_s"] < record["wall_s"]
    assert record["idle_s"] == 0.0  # the worker's first


def test_a_trial_that_breaks_a_measured_limit_is_not_trained(digits: Path, tmp_path: Path) -> None:
    record = trial(digits, tmp_path, Measuring(("latency_ms",), {"latency_ms": 1e-9}, **QUICK))
    assert record["refused"].startswith("limit latency_ms")
    assert "accuracy" not in record
    assert list(tmp_path.iterdir()) == []


def test_a_later_leg_is_not_measured_again(digits: Path, tmp_path: Path) -> None:
    measuring = Measuring(("images_per_s",), **QUICK)
    paused = trial(digits, tmp_path, measuring, until=1)
    assert paused["paused"] == 1
    record = trial(digits, tmp_path, measuring, before={"images_per_s": 7.0, "overhead_s": 10.0, "idle_s": 2.0})
    assert "images_per_s" not in record  # the trial has it
    assert [epoch["epoch"] for epoch in record["curve"]] == [1, 2]
    assert record["overhead_s"] > 10
    assert record["idle_s"] == 2.0


def test_a_training_that_came_to_its_end_is_not_repeated(digits: Path, tmp_path: Path) -> None:
    """Its driver was killed before it could write the record: the next one sends the trial out again."""
    evaluator = Evaluator(Setting(digits, TrainConfig(epochs=2), measuring=Measuring(("images_per_s",), **QUICK)))
    one, other = (SPACE.sample(np.random.default_rng(seed)).to_json() for seed in (0, 1))
    first = evaluator.run(one, 1, tmp_path)
    (tmp_path / CHECKPOINT).unlink(missing_ok=True)
    again = evaluator.run(one, 1, tmp_path)
    # The seconds of writing the weights are not in what is written with them.
    times = ("overhead_s", "wall_s", "idle_s")
    assert {**again, **{key: first[key] for key in times}} == first
    assert 0 < again["overhead_s"] <= first["overhead_s"]
    for architecture, seed in ((one, 2), (other, 1)):  # others are not taken for it
        record = evaluator.run(architecture, seed, tmp_path)
        assert [epoch["train_loss"] for epoch in record["curve"]] != [epoch["train_loss"] for epoch in first["curve"]]
    (tmp_path / WEIGHTS).write_bytes(b"torn")
    assert evaluator.run(one, 1, tmp_path)["accuracy"] == first["accuracy"]


def test_the_wait_between_trials_is_counted(digits: Path, tmp_path: Path) -> None:
    evaluator = Evaluator(Setting(digits, TrainConfig(epochs=1)))
    text = SPACE.sample(np.random.default_rng(0)).to_json()
    started = time.perf_counter()
    before = evaluator.run(text, 1, tmp_path / "a")
    ended = time.perf_counter()
    time.sleep(0.05)
    begins = time.perf_counter()
    record = evaluator.run(text, 1, tmp_path / "b")
    longest_s = time.perf_counter() - started - before["wall_s"] - record["wall_s"]
    assert begins - ended <= record["idle_s"] <= longest_s
