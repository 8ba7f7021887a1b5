"""The measuring defaults and their rules."""

from __future__ import annotations

import pytest

from nas.evaluation.settings import MeasuringSettings
from nas.study.config import Throughput
from trainers.measuring.effort import Effort, default_batch_size


def test_default_batch_sizes_by_device() -> None:
    assert [default_batch_size(device) for device in ("cpu", "cuda", "cuda:1", "meta")] == [16, 128, 128, 16]


@pytest.mark.parametrize(
    "wrong", [{"min_repeats": 1}, {"min_time_s": 1.0, "max_time_s": 0.5}, {"min_time_s": -1.0}, {"interval": 0.0}]
)
def test_wrong_efforts(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Effort(**wrong)  # type: ignore[arg-type]


def test_a_study_and_its_workers_measure_with_the_same_defaults() -> None:
    config, settings, effort = Throughput(), MeasuringSettings(), Effort()  # type: ignore[call-arg]
    for name in ("min_time_s", "max_time_s", "interval"):
        assert getattr(config, name) == getattr(settings, name) == getattr(effort, name)
    assert settings.batch_size == default_batch_size("cpu")
