"""The prediction quality of throughput: the operator table against what trials measured."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import kendalltau

from nas.analysis.prediction_quality import compare_predictions, missing_note
from nas.analysis.remarks import missing_lines
from nas.analysis.results import Results
from nas.objectives import get
from nas.study.layout import OPERATORS
from nas.study.operator_table import (
    OperatorTable,
    operator_times,
    operators_to_time,
    read_tables,
    time_features,
    write_tables,
)
from nas.terminal.tables import status_panel, status_record
from search_space import Architecture, SearchSpace

SPACE = SearchSpace.from_dict(
    {
        "stages": [{"mixer": {"conv": {"k": [3, 5, 7]}, "pool": None}, "width": [8, 16, 32], "depth": [1, 2, 3]}],
        "image_size": 8,
    }
)
PREDICTING = {"sampler": {"name": "pareto"}, "throughput": {"operators_s": 30}}
UNKNOWN = {"stages": [{"mixer": {"name": "a mixer of a newer version"}}]}


@pytest.fixture
def study(tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any) -> Path:
    """Twelve trials about 1.1 times as fast as predicted, and one of an architecture that this release does not know."""
    operators = operators_to_time(SPACE)
    seconds = [sum(time_features(operator)) * 1e-8 for operator in operators]
    table = OperatorTable(operator_times(operators, seconds), 16)
    rng = random.Random(0)
    trials = []
    for number in range(12):
        architecture = SPACE.sample(rng)
        speed = 1.1 * table.predict(get("images_per_s"), architecture) * (1.3 if number % 3 == 0 else 1.0)
        attributes = {"architecture": architecture.to_dict(), "images_per_s": speed}
        trials.append(stored_trial([0.5, 1e5, speed], None, attributes))
    trials.append(stored_trial([0.5, 1e5, 7.0], None, {"architecture": UNKNOWN, "images_per_s": 7.0}))
    folder = study_writer(tmp_path / "study", trials, config=PREDICTING)
    write_tables({"images_per_s": table}, folder / OPERATORS)
    return folder


def test_predictions_are_compared_with_measurements(study: Path) -> None:
    results = Results.load(study)
    (table,) = read_tables(study / OPERATORS).values()
    (quality,) = compare_predictions(results)
    assert (quality.objective, quality.trials) == ("images_per_s", 12)
    compared = results.trials.head(12)
    measured = compared["images_per_s"].to_numpy()
    predicted = np.array(
        [table.predict(get("images_per_s"), Architecture.from_dict(plain)) for plain in compared["architecture"]]
    )
    assert quality.kendall_tau == pytest.approx(kendalltau(predicted, measured).statistic)
    assert quality.median_error == pytest.approx(0.0, abs=1e-9)  # the same factor for two of three


def status_text(results: Results) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(status_panel(results))
    return console.export_text()


def test_the_status_and_the_report_show_prediction_quality(study: Path) -> None:
    results = Results.load(study)
    record = status_record(results)["prediction_quality"]["images_per_s"]
    assert list(record) == ["trials", "kendall_tau", "median_error"]
    assert record["trials"] == 12
    assert status_record(results)["foretold"] == {"images_per_s": record}  # its name in version 0.1
    expected = f"throughput of 12 trials: Kendall tau {record['kendall_tau']:.2f}, median error 0 %"
    assert expected in status_text(results)
    assert missing_lines(results)[-1].startswith("Test accuracy is missing")


@pytest.mark.parametrize("content", [None, "{torn"])
def test_without_the_operator_table_a_line_says_that_it_is_unknown(study: Path, content: str | None) -> None:
    file = study / OPERATORS
    file.unlink()
    if content is not None:
        file.write_text(content)
    results = Results.load(study)
    assert compare_predictions(results) == []
    assert missing_note(results) == f"unknown: {file} is missing or damaged"
    assert "is missing or damaged" in " ".join(status_text(results).replace("│", " ").split())
    assert missing_lines(results)[-1] == f"The prediction quality is unknown: {file} is missing or damaged."


def test_a_study_without_predicted_objectives_has_no_note(digits_study: Path) -> None:
    results = Results.load(digits_study)
    assert compare_predictions(results) == []
    assert status_record(results)["foretold"] == status_record(results)["prediction_quality"] == {}
    assert missing_note(results) == ""


def test_two_trials_are_too_few(tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any) -> None:
    operators = operators_to_time(SPACE)[:4]
    architecture = SPACE.sample(random.Random(1)).to_dict()
    trials = [stored_trial([0.5, 1e5, 9.0], None, {"architecture": architecture, "images_per_s": 9.0})] * 2
    folder = study_writer(tmp_path / "study", trials)
    write_tables({"images_per_s": OperatorTable(operator_times(operators, [1e-3] * 4), 16)}, folder / OPERATORS)
    assert compare_predictions(Results.load(folder)) == []
