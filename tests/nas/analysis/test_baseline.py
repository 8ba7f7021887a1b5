"""What always answering the most frequent class gives, by hand, and when a best trial is called no better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.analysis.baseline import baseline_warning, majority_baseline
from nas.analysis.remarks import warning_lines
from nas.analysis.results import Results

IMBALANCED = {"train": [4, 240], "val": [2, 80], "test": [2, 80]}


def results_of(
    folder: Path, write: Any, trial: Any, values: list[float], objective: str = "accuracy", **dataset: Any
) -> Results:
    data = {"name": "parts", "class_names": ["defect", "ok"], "num_classes": 2, "class_counts": IMBALANCED, **dataset}
    trials = [trial([value, 10.0]) for value in values]
    return Results.load(write(folder / "study", trials, objectives=(objective, "macs"), dataset=data))


@pytest.mark.parametrize(
    ("objective", "value", "error"),
    [
        ("accuracy", 80 / 82, (80 * 2 / 82**3) ** 0.5),
        ("balanced_accuracy", 0.5, (0.25 / 2 + 0.25 / 80) ** 0.5 / 2),
        ("macro_f1", (2 * 80 / 162) / 2, 0.0),
    ],
)
def test_by_hand(
    objective: str, value: float, error: float, tmp_path: Path, study_writer: Any, stored_trial: Any
) -> None:
    baseline = majority_baseline(results_of(tmp_path, study_writer, stored_trial, [0.9], objective))
    assert baseline is not None
    assert baseline.class_name == "ok"
    assert (baseline.value, baseline.error) == (pytest.approx(value), pytest.approx(error))


def test_the_majority_share_is_no_result(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    results = results_of(tmp_path, study_writer, stored_trial, [0.5, 80 / 82])
    warning = baseline_warning(results)
    assert warning == (
        "the best validation accuracy is 0.9756, no better than the 0.9756 of always answering 'ok'; the objectives "
        "balanced_accuracy and macro_f1 count classes equally"
    )
    assert warning_lines(results) == [f"Warning: {warning}."]


@pytest.mark.parametrize(
    ("counts", "objective", "value", "is_warned"),
    [
        ([60, 40], "accuracy", 0.69, True),  # two standard errors are 0.098
        ([60, 40], "accuracy", 0.71, False),
        ([60, 40], "accuracy", 0.3, True),
        ([52, 48], "accuracy", 0.5, False),  # chance in balanced data is no trap
        ([2, 80], "accuracy", 1.0, True),  # two images cannot tell
        ([2, 80], "balanced_accuracy", 0.75, True),
        ([50, 150], "balanced_accuracy", 0.75, False),
        ([50, 150], "macro_f1", 0.43, False),
        ([50, 150], "macro_f1", 0.42, True),
    ],
)
def test_noise_is_taken_into_account(
    counts: list[int],
    objective: str,
    value: float,
    is_warned: bool,
    tmp_path: Path,
    study_writer: Any,
    stored_trial: Any,
) -> None:
    results = results_of(
        tmp_path, study_writer, stored_trial, [value], objective, class_counts={**IMBALANCED, "val": counts}
    )
    assert (baseline_warning(results) is not None) == is_warned


def test_studies_that_do_not_record_their_classes_have_no_baseline(
    digits_study: Path, empty_study: Path, tmp_path: Path, study_writer: Any, stored_trial: Any
) -> None:
    assert majority_baseline(Results.load(digits_study)) is None
    assert baseline_warning(Results.load(empty_study)) is None
    assert baseline_warning(results_of(tmp_path, study_writer, stored_trial, [], "accuracy")) is None
