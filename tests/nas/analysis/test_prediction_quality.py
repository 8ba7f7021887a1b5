"""What a study foretold of throughput, against what its trials measured."""

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

from nas.analysis.prediction_quality import compare_predictions
from nas.analysis.results import load
from nas.report.headline import headline
from nas.study import operator_table
from nas.study.operator_table import OperatorTable, entries_of, traits_of, wanted
from nas.terminal.tables import status_panel, status_record
from search_space import Architecture, SearchSpace

SPACE = SearchSpace.from_dict(
    {
        "stages": [{"mixer": {"conv": {"k": [3, 5, 7]}, "pool": None}, "width": [8, 16, 32], "depth": [1, 2, 3]}],
        "image_size": 8,
    }
)


@pytest.fixture
def study(tmp_path: Path, study_writer: Callable[..., Path], told: Any) -> Path:
    """Trials that were 1.1 times as fast as foretold, give or take; one without a measurement, one that is not understood."""
    timed = wanted(SPACE)
    table = OperatorTable(entries_of(timed, [sum(traits_of(one)) * 1e-8 for one in timed]), 16)
    rng = random.Random(0)
    trials = []
    for number in range(12):
        architecture = SPACE.sample(rng)
        speed = 1.1 * table.images_per_s(architecture) * (1.3 if number % 3 == 0 else 1.0)
        attributes = {"architecture": architecture.to_dict(), "images_per_s": speed}
        trials.append(told([0.5, 1e5, speed], None, attributes))
    trials.append(told([0.5, 1e5, 7.0], None, {"architecture": {"stages": "of another release"}, "images_per_s": 7.0}))
    folder = study_writer(tmp_path / "study", trials)
    operator_table.write({"images_per_s": table}, folder / operator_table.FILE)
    return folder


def test_how_well_it_was_foretold(study: Path) -> None:
    results = load(study)
    (table,) = operator_table.read(study / operator_table.FILE).values()
    (found,) = compare_predictions(results)
    assert (found.name, found.trials) == ("images_per_s", 12)
    known = results.trials.head(12)
    truth = known["images_per_s"].to_numpy()
    seen = np.array([table.images_per_s(Architecture.from_dict(one)) for one in known["architecture"]])
    assert found.kendall_tau == pytest.approx(kendalltau(seen, truth).statistic)
    assert found.median_error == pytest.approx(0.0, abs=1e-9)  # the same factor for two of three


def test_it_is_shown(study: Path) -> None:
    results = load(study)
    record = status_record(results)["foretold"]["images_per_s"]
    assert record["trials"] == 12
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(status_panel(results))
    assert f"throughput of 12 trials: Kendall tau {record['kendall_tau']:.2f}, 0 % off" in console.export_text()
    (fact,) = (fact for fact in headline(results) if fact.label == "throughput foretold")
    assert fact.value == f"{record['kendall_tau']:.2f}"


def test_nothing_is_told_of_a_study_that_foretold_nothing(digits_study: Path) -> None:
    assert compare_predictions(load(digits_study)) == []
    assert status_record(load(digits_study))["foretold"] == {}


def test_two_trials_tell_nothing(tmp_path: Path, study_writer: Callable[..., Path], told: Any) -> None:
    timed = wanted(SPACE)[:4]
    architecture = SPACE.sample(random.Random(1)).to_dict()
    trials = [told([0.5, 1e5, 9.0], None, {"architecture": architecture, "images_per_s": 9.0})] * 2
    folder = study_writer(tmp_path / "study", trials)
    operator_table.write(
        {"images_per_s": OperatorTable(entries_of(timed, [1e-3] * 4), 16)}, folder / operator_table.FILE
    )
    assert compare_predictions(load(folder)) == []
