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

from nas.analysis.prediction_quality import foretold
from nas.analysis.results import Results
from nas.objectives import get
from nas.report.headline import headline
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
def study(tmp_path: Path, study_writer: Callable[..., Path], told: Any) -> Path:
    """Trials that were 1.1 times as fast as foretold, give or take; one without a measurement, one that is not understood."""
    timed = operators_to_time(SPACE)
    table = OperatorTable(operator_times(timed, [sum(time_features(one)) * 1e-8 for one in timed]), 16)
    rng = random.Random(0)
    trials = []
    for number in range(12):
        architecture = SPACE.sample(rng)
        speed = 1.1 * table.predict(get("images_per_s"), architecture) * (1.3 if number % 3 == 0 else 1.0)
        attributes = {"architecture": architecture.to_dict(), "images_per_s": speed}
        trials.append(told([0.5, 1e5, speed], None, attributes))
    trials.append(told([0.5, 1e5, 7.0], None, {"architecture": {"stages": "of another release"}, "images_per_s": 7.0}))
    folder = study_writer(tmp_path / "study", trials)
    write_tables({"images_per_s": table}, folder / OPERATORS)
    return folder


def test_how_well_it_was_foretold(study: Path) -> None:
    results = Results.load(study)
    (table,) = read_tables(study / OPERATORS).values()
    (found,) = foretold(results)
    assert (found.name, found.trials) == ("images_per_s", 12)
    known = results.trials.head(12)
    truth = known["images_per_s"].to_numpy()
    seen = np.array([table.predict(get("images_per_s"), Architecture.from_dict(one)) for one in known["architecture"]])
    assert found.kendall_tau == pytest.approx(kendalltau(seen, truth).statistic)
    assert found.median_error == pytest.approx(0.0, abs=1e-9)  # the same factor for two of three


def test_it_is_shown(study: Path) -> None:
    results = Results.load(study)
    record = status_record(results)["foretold"]["images_per_s"]
    assert record["trials"] == 12
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(status_panel(results))
    return console.export_text()


def test_the_status_and_the_report_show_it(study: Path) -> None:
    results = load(study)
    record = status_record(results)["prediction_quality"]["images_per_s"]
    assert list(record) == ["trials", "kendall_tau", "median_error"]
    assert record["trials"] == 12
    assert status_record(results)["foretold"] == {"images_per_s": record}  # its name in version 0.1
    expected = f"throughput of 12 trials: Kendall tau {record['kendall_tau']:.2f}, median error 0 %"
    assert expected in status_text(results)
    (fact,) = (fact for fact in headline(results) if fact.label == "prediction of throughput")
    assert fact.value == f"{record['kendall_tau']:.2f}"
    assert missing_lines(results)[-1].startswith("Test accuracy is missing")


def test_nothing_is_told_of_a_study_that_foretold_nothing(digits_study: Path) -> None:
    assert foretold(Results.load(digits_study)) == []
    assert status_record(Results.load(digits_study))["foretold"] == {}


def test_two_trials_tell_nothing(tmp_path: Path, study_writer: Callable[..., Path], told: Any) -> None:
    timed = operators_to_time(SPACE)[:4]
    architecture = SPACE.sample(random.Random(1)).to_dict()
    trials = [stored_trial([0.5, 1e5, 9.0], None, {"architecture": architecture, "images_per_s": 9.0})] * 2
    folder = study_writer(tmp_path / "study", trials)
    write_tables({"images_per_s": OperatorTable(operator_times(timed, [1e-3] * 4), 16)}, folder / OPERATORS)
    assert foretold(Results.load(folder)) == []
