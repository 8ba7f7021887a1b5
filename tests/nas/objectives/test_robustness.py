"""Objectives of robustness in a search with rungs: each value is that of the trained network, measured again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nas import Study, StudyConfig, search
from nas.models.weights import load_trained
from nas.study.trials import outcome_name
from trainers.data.dataset import load
from trainers.measuring.frequency import octave_bands
from trainers.training.robustness import band_accuracy, corruption_accuracy

NAMES = ("accuracy", "robustness", "low_frequency_robustness", "high_frequency_robustness")


def test_robustness_is_measured_on_the_validation_images(
    tmp_path: Path, small_study_writer: Callable[..., Path]
) -> None:
    file = small_study_writer(tmp_path, trials=3)
    words = (f"objectives=[{', '.join(NAMES)}, macs]", "scheduler.name=halving", "train.epochs=3")
    study = Study.open_or_create(tmp_path / "run", StudyConfig.from_file(file, *words))
    search(study)
    data = load(study.images())
    low, high = octave_bands(data.image_size)
    complete = [trial for trial in study.trials if outcome_name(trial) == "completed"]
    assert complete
    for trial in complete:
        network = load_trained(study, trial)
        expected = (
            trial.user_attrs["curve"][-1]["val_accuracy"],
            corruption_accuracy(network, data.val, data),
            band_accuracy(network, data.val, data, low),
            band_accuracy(network, data.val, data, high),
        )
        assert tuple(trial.values[: len(NAMES)]) == pytest.approx(expected, abs=1e-9)
    assert study.results().primary.name == "accuracy"
