"""Results against the storage they were read from: states, front, best, records, errors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.analysis.results import Results, outcome
from nas.errors import UsageError
from nas.study.database.storage import DATABASE, open_study
from nas.study.stored import StoredStudy
from nas.study.trials import is_trained

Writer = Callable[..., Path]
STATES = {TrialState.COMPLETE: "complete", TrialState.FAIL: "failed", TrialState.RUNNING: "running"}


def test_rows_are_the_trials_of_the_storage_in_order(digits_study: Path) -> None:
    results = Results.load(digits_study)
    stored = open_study(digits_study).trials
    assert results.trials["trial"].tolist() == [trial.number for trial in stored] == list(range(37))
    for row, trial in zip(results.trials.to_dict("records"), stored, strict=True):
        if is_trained(trial) and trial.state != TrialState.PRUNED:
            assert row["state"] == STATES[trial.state]
        assert row["architecture"] == trial.user_attrs["architecture"]
        assert row["id"] == trial.user_attrs["id"]
        assert row["macs"] == trial.user_attrs["macs"]
        assert row["started"] == trial.datetime_start
        if trial.state == TrialState.COMPLETE:
            assert [row["accuracy"], row["macs"], row["images_per_s"]] == trial.values
            assert row["curve"] == trial.user_attrs["curve"]


def test_states_distinguish_refused_duplicate_and_stopped(digits_study: Path) -> None:
    results = Results.load(digits_study)
    assert results.counts == {
        "complete": 24, "running": 1, "stopped": 3, "refused": 3, "duplicate": 3, "failed": 3,
    }  # fmt: skip
    assert results.trials["state"].tolist()[5:12:2] == ["failed", "refused", "duplicate", "stopped"]
    assert [outcome(results.trial(n)) for n in (0, 5, 7, 9)] == [
        "complete",
        "failed: loss is <NaN> at epoch 2 & ended",
        "refused: limit macs: 5000 > 4000",
        "duplicate of trial 3",
    ]


def test_front_is_optunas_best_trials_by_macs(digits_study: Path) -> None:
    results = Results.load(digits_study)
    best = open_study(digits_study).best_trials
    assert sorted(results.front["trial"]) == sorted(trial.number for trial in best)
    assert results.front["macs"].is_monotonic_increasing
    assert results.trials["on_front"].sum() == len(best) == len(results.front)
    assert 0 < results.hypervolume < 1


def test_the_best_is_the_most_accurate_then_the_one_of_fewer_macs(
    tmp_path: Path, study_writer: Writer, stored_trial: Any
) -> None:
    values = ([0.8, 10.0, 1.0], [0.9, 30.0, 1.0], [0.9, 20.0, 1.0], [0.9, 20.0, 1.0])
    study_writer(tmp_path, [stored_trial(list(v), None, {"macs": v[1]}) for v in values])
    results = Results.load(tmp_path)
    assert results.best is not None
    assert results.best["trial"] == 2
    assert results.trial("best")["trial"] == 2
    assert results.front["trial"].tolist() == [0, 2, 3]  # equal trials both stay


def test_a_study_without_accuracy_ranks_by_its_first_objective(
    tmp_path: Path, study_writer: Writer, stored_trial: Any
) -> None:
    study_writer(tmp_path, [stored_trial([50.0]), stored_trial([20.0]), stored_trial([30.0])], objectives=("macs",))
    results = Results.load(tmp_path)
    assert results.best is not None
    assert results.best["trial"] == 1
    assert results.front["trial"].tolist() == [1]


@pytest.mark.parametrize("which", [7, "7", " 7 "])
def test_a_trial_of_any_state_is_found_by_number(digits_study: Path, which: int | str) -> None:
    trial = Results.load(digits_study).trial(which)
    assert trial["trial"] == 7
    assert trial["state"] == "refused"
    assert trial["macs"] > 0  # known before training
    assert np.isnan(trial["accuracy"])


@pytest.mark.parametrize("which", [37, "37", -1, "1.5", "first", ""])
def test_an_unknown_trial_is_refused_with_the_numbers_that_exist(digits_study: Path, which: int | str) -> None:
    with pytest.raises(UsageError, match="has no such trial; there are the numbers 0 to 36, and `best`") as caught:
        Results.load(digits_study).trial(which)
    assert str(caught.value).startswith(f"trial {which}: ")


def test_a_study_without_trials(empty_study: Path) -> None:
    results = Results.load(empty_study)
    assert (len(results.trials), len(results.front), results.best, results.counts) == (0, 0, None, {})
    assert results.hypervolume == 0.0
    assert results.front_records() == []
    assert results.to_csv().startswith("trial,accuracy,macs,images_per_s,params,")
    with pytest.raises(UsageError, match="it has none yet"):
        results.trial("best")
    with pytest.raises(UsageError, match="it has none yet"):
        results.trial(0)


def test_a_trial_with_nan_has_failed_and_is_not_counted(
    tmp_path: Path, study_writer: Writer, stored_trial: Any
) -> None:
    with pytest.warns(UserWarning, match="nan is not acceptable"):
        study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0]), stored_trial([float("nan"), 1.0, 9.0])])
    results = Results.load(tmp_path)
    assert results.counts == {"complete": 1, "failed": 1}
    assert results.front["trial"].tolist() == [0]


def test_a_trial_beyond_a_limit_is_not_on_the_front(tmp_path: Path, study_writer: Writer, stored_trial: Any) -> None:
    study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0]), stored_trial([0.9, 5.0, 2.0], constraints={"macs": 3.0})])
    results = Results.load(tmp_path)
    assert results.front["trial"].tolist() == [0]
    assert results.best is not None
    assert results.best["trial"] == 0
    assert np.isnan(results.values[1]).all()


def test_records_are_plain_json_with_the_documented_keys(digits_study: Path) -> None:
    results = Results.load(digits_study)
    records = json.loads(json.dumps(results.front_records(), allow_nan=False))
    assert [record["trial"] for record in records] == results.front["trial"].tolist()
    keys = [
        "trial",
        "accuracy",
        "macs",
        "images_per_s",
        "params",
        "fft_flops",
        "test_accuracy",
        "wall_s",
        "id",
        "architecture",
    ]
    stored = open_study(digits_study).trials
    for record in records:
        assert list(record) == keys
        trial = stored[record["trial"]]
        assert [record["accuracy"], record["macs"], record["images_per_s"]] == trial.values
        assert isinstance(record["macs"], int)
        assert isinstance(record["params"], int)
        assert isinstance(record["accuracy"], float)
        assert record["architecture"] == trial.user_attrs["architecture"]
        assert record["test_accuracy"] == {0: 0.71, 4: 0.82}.get(record["trial"])


def test_csv_holds_the_records(digits_study: Path) -> None:
    results = Results.load(digits_study)
    rows = list(csv.DictReader(io.StringIO(results.to_csv())))
    for row, record in zip(rows, results.front_records(), strict=True):
        assert json.loads(row["architecture"]) == record["architecture"]
        assert float(row["accuracy"]) == record["accuracy"]
        assert int(row["macs"]) == record["macs"]
        assert row["test_accuracy"] == ("" if record["test_accuracy"] is None else str(record["test_accuracy"]))


@pytest.mark.parametrize(("stored", "size"), [("36000", 36000), (str(10**30), 10**30), (None, None)])
def test_any_size_of_the_space_is_read(
    tmp_path: Path, study_writer: Writer, stored: str | None, size: int | None
) -> None:
    study_writer(tmp_path, space_size=stored)
    assert Results.load(tmp_path).space_size == size


def test_missing_fields_of_an_objective_come_from_the_registered_one(tmp_path: Path, study_writer: Writer) -> None:
    short = [
        {"name": "accuracy", "unit": "", "direction": "maximize", "log": False},
        {"name": "macs", "unit": "MACs", "direction": "minimize", "log": True},
        {"name": "energy", "unit": "J", "direction": "maximize"},
    ]
    study_writer(tmp_path, objectives=("accuracy", "macs", "images_per_s"))
    open_study(tmp_path).set_user_attr("objectives", short)
    accuracy, macs, energy = Results.load(tmp_path).objectives
    assert (accuracy.label, accuracy.cheap) == ("validation accuracy", False)
    assert (macs.label, macs.cheap, macs.log) == ("MACs", True, True)
    assert (energy.label, energy.unit, energy.cheap, energy.log) == ("energy", "J", False, False)


def test_a_foreign_study_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no study \(study.db is missing\)"):
        Results.load(tmp_path)
    optuna.create_study(storage=f"sqlite:///{tmp_path / DATABASE}", directions=["maximize", "minimize"])
    with pytest.raises(UsageError, match="must list its 2 objectives, found None"):
        Results.load(tmp_path)


def test_an_open_study_reads_the_same(digits_study: Path) -> None:
    opened = Results.of(StoredStudy.open(digits_study))
    assert opened.front_records() == Results.load(digits_study).front_records()


def test_reading_does_not_write(digits_study: Path) -> None:
    before = (digits_study / DATABASE).read_bytes()
    results = Results.load(digits_study)
    assert results.hypervolume > 0
    assert (digits_study / DATABASE).read_bytes() == before
