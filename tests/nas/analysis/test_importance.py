"""Importance against a function of which the important parameters are known, and preferences against hand-worked tables."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optuna.trial import TrialState

from nas.analysis.importance import MIN_TRIALS, importance
from nas.analysis.preferences import odds_ratio, preferences
from nas.analysis.results import Results

NAMES = ("accuracy", "macs")


@pytest.fixture(scope="module")
def params() -> pd.DataFrame:
    """Codes of eight parameters of 300 trials; the last one is missing wherever the first is not 2."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({f"p{i}": rng.integers(0, 3, 300) for i in range(7)})
    table["p0.option"] = np.where(table["p0"] == 2, rng.integers(0, 4, 300), -1)
    return table


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, study_writer: Any, stored_trial: Any, params: Any) -> Results:
    """Accuracy depends on p1 and, half as much, on p4; MACs on the option of p0 alone. Trial 299 failed."""
    rng = np.random.default_rng(0)
    accuracy = 0.5 + 0.1 * params["p1"] + 0.05 * params["p4"] + rng.normal(0, 0.01, 300)
    macs = 100.0 * 3.0 ** (params["p0.option"] + 1) + rng.uniform(0, 5, 300)
    trials = [stored_trial([float(a), float(m)]) for a, m in zip(accuracy[:-1], macs[:-1], strict=True)]
    failed = stored_trial(None, TrialState.FAIL, {"failure": "bad", "outcome": "failed"})
    folder = study_writer(tmp_path_factory.mktemp("importance"), [*trials, failed], objectives=NAMES)
    return Results.load(folder)


def test_only_the_parameters_that_matter_are_important(results: Results, params: pd.DataFrame) -> None:
    accuracy, macs = importance(results, params)
    assert (accuracy.objective, accuracy.trials, accuracy.note) == ("accuracy", 299, "")
    (first, (share, deviation)), (second, (other, _)), *rest = accuracy.shares.items()
    assert (first, second) == ("p1", "p4")
    # The variance of 0.1 x is four times that of 0.05 x: shares 0.8 and 0.2.
    assert share == pytest.approx(0.8, abs=0.06)
    assert other == pytest.approx(0.2, abs=0.06)
    assert all(small < 0.02 for _, (small, _) in rest)
    assert 0 < deviation < 0.1
    assert accuracy.explained > 0.8
    assert sum(share for share, _ in accuracy.shares.values()) == pytest.approx(1)
    assert next(iter(macs.shares)) == "p0.option"  # a missing option is a level of its own
    assert json.dumps(macs.to_dict(), allow_nan=False)


def test_the_seed_decides(results: Results, params: pd.DataFrame) -> None:
    one, same, other = (importance(results, params, seed=seed)[0].shares for seed in (1, 1, 2))
    assert one == same
    assert one != other
    as_mapping = importance(results, {name: params[name].tolist() for name in params}, seed=1)[0].shares
    assert as_mapping == one


def test_few_trials_noise_and_constants_are_said(
    results: Results, params: pd.DataFrame, digits_study: Path, empty_study: Path
) -> None:
    digits = Results.load(digits_study)
    few = importance(digits, {"p": [0] * len(digits.trials)})[0]
    assert few.note == f"too few trials: 24 are complete, and {MIN_TRIALS} are needed"
    assert few.shares == {}
    assert json.dumps(few.to_dict(), allow_nan=False)
    assert importance(Results.load(empty_study), {})[0].note.startswith("too few trials: 0 are complete")
    noise = importance(results, params[["p2", "p3"]])[0]
    assert "mostly noise" in noise.note
    assert importance(results, params[["p2"]] * 0)[0].note == "no parameter varies"
    with pytest.raises(
        ValueError, match=r"params\['p'\]: must have a code for each of 300 trials, found the shape \(2,\)"
    ):
        importance(results, {"p": [0, 1]})


def test_large_studies_are_sampled(tmp_path: Path, study_writer: Any, stored_trial: Any, results: Results) -> None:
    rng = np.random.default_rng(0)
    copies = pd.concat([results.trials] * 34, ignore_index=True)
    copies["trial"] = range(len(copies))
    large = Results(tmp_path, "large", results.objectives, copies, {}, {}, None)
    params = pd.DataFrame({f"p{i}": rng.integers(-1, 4, len(copies)) for i in range(30)})
    start = time.process_time()
    found = importance(large, params)
    assert time.process_time() - start < 10  # about 2 on an idle machine
    assert found[0].trials == 2000


def test_an_odds_ratio_worked_by_hand() -> None:
    """Counts 8, 2; 1, 9: (8.5 * 9.5) / (2.5 * 1.5) = 21.5333; its log has the variance 1/8.5 + 1/2.5 + 1/1.5 + 1/9.5."""
    error = math.sqrt(0.1176471 + 0.4 + 0.6666667 + 0.1052632)
    ratio, low, high = odds_ratio(8, 2, 1, 9)
    assert ratio == pytest.approx(21.53333, rel=1e-5)
    assert low == pytest.approx(21.53333 / math.exp(1.96 * error), rel=1e-3)
    assert high == pytest.approx(21.53333 * math.exp(1.96 * error), rel=1e-3)
    assert odds_ratio(2, 8, 9, 1)[0] == pytest.approx(1 / 21.53333, rel=1e-5)
    assert odds_ratio(3, 4, 0, 0)[0] == 1.0  # every trial has the value
    assert odds_ratio(0, 0, 0, 0)[0] == 1.0


def test_preferences_of_the_front_against_all_trials(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    """Front: trials 0 and 1. `mixer` is a, a, b, b, b; `heads` only trials 0 and 2 have."""
    values = [[0.9, 20.0], [0.8, 10.0], [0.7, 30.0], [0.6, 30.0], [0.5, 30.0]]
    folder = study_writer(tmp_path, [stored_trial(v) for v in values], objectives=NAMES)
    params = {"mixer": [0, 0, 1, 1, 1], "heads": [1, -1, 0, -1, -1]}
    levels = {"mixer": ["a", "b"], "heads": [2, 4]}
    found = {(p.parameter, p.value): p for p in preferences(Results.load(folder), params, levels)}
    assert list(found) == [("mixer", "a"), ("mixer", "b"), ("heads", "2"), ("heads", "4")]
    a = found["mixer", "a"]
    assert (a.trials, a.on_front, a.front_share, a.overall_share) == (2, 2, 1.0, 0.4)
    assert a.odds_ratio == pytest.approx(2.5 * 3.5 / (0.5 * 0.5))  # counts 2, 0; 0, 3
    assert a.low < a.odds_ratio < a.high
    four = found["heads", "4"]
    assert (four.trials, four.front_share, four.overall_share) == (1, 1.0, 0.5)  # among those with the parameter
    assert json.dumps([p.to_dict() for p in found.values()], allow_nan=False)
    assert preferences(Results.load(folder), {"mixer": [0] * 5})[0].value == "0"
