"""Measurements of real networks before their training."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import objectives
from nas.evaluation.measurer import Measurer
from nas.evaluation.settings import MeasuringSettings
from nas.study.outcomes.outcome_parts import Measured
from search_space import Architecture, SearchSpace, build
from trainers.device_lock import DeviceLock
from trainers.measuring.memory import peak_memory_bytes

QUICK: dict[str, Any] = {"min_time_s": 0.001, "max_time_s": 0.01}
SPACE = SearchSpace.from_dict(
    {
        "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "width": [8, 16], "depth": [1, 2]}],
        "stem": {"patch": 2},
        "image_size": 8,
        "in_chans": 1,
    }
)


@pytest.fixture
def architecture() -> Architecture:
    return SPACE.sample(np.random.default_rng(0))


def measurer(folder: Path, **changes: Any) -> Measurer:
    settings = {"objectives": objectives.names("measured"), **QUICK, **changes}
    return Measurer(MeasuringSettings(**settings), "cpu", DeviceLock("cpu", folder))


def test_every_measured_objective(architecture: Architecture, tmp_path: Path) -> None:
    network = build(architecture)
    measured = measurer(tmp_path, batch_size=16).measure(network, (1, 8, 8))
    assert set(measured.values) == set(objectives.names("measured"))
    attributes = measured.to_attributes()
    assert set(attributes) == {"device", *measured.values, "throughput", "latency"}
    assert json.loads(json.dumps(attributes, allow_nan=False)) == attributes
    assert Measured.from_attributes(attributes) == measured
    low, high = measured.details["throughput"]["images_per_s_interval"]
    assert low <= measured.values["images_per_s"] <= high
    assert [measured.details[name]["batch_size"] for name in ("throughput", "latency")] == [16, 1]
    assert measured.values["latency_ms"] > 0
    assert measured.values["peak_memory_bytes"] == peak_memory_bytes(network, (1, 8, 8), batch_size=16)


def test_only_the_objectives_of_the_settings(architecture: Architecture, tmp_path: Path) -> None:
    assert measurer(tmp_path, objectives=()).measure(build(architecture), (1, 8, 8)) == Measured()
    measured = measurer(tmp_path, objectives=("peak_memory_bytes",)).measure(build(architecture), (1, 8, 8))
    assert set(measured.to_attributes()) == {"device", "peak_memory_bytes"}


def test_the_time_of_the_reference_is_saved(architecture: Architecture, tmp_path: Path) -> None:
    file = tmp_path / "reference.json"
    network = build(architecture)
    first = measurer(tmp_path, reference_file=file).measure(network, (1, 8, 8))
    (kept,) = json.loads(file.read_text()).values()
    assert first.details["throughput"]["drift"] == 1.0
    # Pretend that the machine was a million times as fast at the start of the study: the next worker measures relative to that.
    (name,) = json.loads(file.read_text())
    file.write_text(json.dumps({name: kept / 1e6, "another device": 1.0}))
    later = measurer(tmp_path, reference_file=file).measure(network, (1, 8, 8))
    assert later.details["throughput"]["drift"] > 1e4
    assert later.values["images_per_s"] > 1e4 * first.values["images_per_s"]
    assert json.loads(file.read_text()) == {name: kept / 1e6, "another device": 1.0}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"images_per_s": 1e9}, "limit images_per_s: .* < 1000000000$"),
        ({"latency_ms": 1e-6}, "limit latency_ms: .* > 1e-06"),
        ({"peak_memory_bytes": 10}, "limit peak_memory_bytes: .* > 10"),
        ({"images_per_s": 1, "latency_ms": 1e6, "peak_memory_bytes": 1e12}, None),
    ],
)
def test_limits(architecture: Architecture, tmp_path: Path, limits: dict[str, float], message: str | None) -> None:
    limited = measurer(tmp_path, limits=limits)
    violated = limited.violated_limit(limited.measure(build(architecture), (1, 8, 8)).values)
    if message is None:
        assert violated is None
    else:
        assert violated is not None
        assert re.fullmatch(message, violated)
