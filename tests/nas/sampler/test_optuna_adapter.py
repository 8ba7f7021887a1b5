"""Each undocumented part of Optuna that the samplers rely on still works as they assume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampler.optuna_adapter import (
    contains,
    enqueued_params,
    fixed_params,
    is_shared,
    share_plan,
    shared_plan,
    storage_of,
    study_id_of,
)


@pytest.mark.parametrize(
    ("distribution", "value", "expected"),
    [
        (CategoricalDistribution(["conv", "pool"]), "pool", True),
        (CategoricalDistribution(["conv", "pool"]), "attention", False),
        (IntDistribution(2, 8, step=2), 4, True),
        (IntDistribution(2, 8, step=2), 5, False),
        (IntDistribution(2, 8, step=2), 10, False),
        (FloatDistribution(0.1, 1.0), 0.5, True),
        (FloatDistribution(0.1, 1.0), 0.05, False),
    ],
)
def test_distribution_contains(distribution: BaseDistribution, value: Any, expected: bool) -> None:
    assert contains(distribution, value) is expected


def test_fixed_params_of_an_enqueued_trial() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"k": 3})
    (waiting,) = study.get_trials()
    assert (waiting.params, enqueued_params(waiting)) == ({}, {"k": 3})
    study.ask()
    study.ask()
    enqueued, sampled = study.get_trials()
    assert enqueued_params(enqueued) == {"k": 3}
    assert enqueued_params(sampled) == {}


def test_params_that_samplers_around_another_one_fix() -> None:
    inner = optuna.samplers.RandomSampler()
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        middle = optuna.samplers.PartialFixedSampler({"a": 1, "b": 2}, inner)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        outer = optuna.samplers.PartialFixedSampler({"b": 3}, middle)
    assert fixed_params(outer) == {"a": 1, "b": 3}
    assert fixed_params(inner) == {}


def test_storage_and_id_tell_studies_apart(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")
    first, second = (optuna.create_study(storage=storage) for _ in range(2))
    assert storage_of(first) is storage_of(second)
    assert study_id_of(first) != study_id_of(second)
    assert is_shared(first)
    assert not is_shared(optuna.create_study())


def test_plan_is_read_by_other_processes(tmp_path: Path) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    study = optuna.create_study(storage=optuna.storages.JournalStorage(backend), study_name="s")
    study.ask()
    (trial,) = study.get_trials()
    assert shared_plan(trial) == {}
    share_plan(study, trial, {"k": 3, "kind": None})
    (again,) = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend)).get_trials()
    assert shared_plan(again) == {"k": 3, "kind": None}


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, 7, None])
def test_what_is_no_plan_counts_as_none(text: Any) -> None:
    study = optuna.create_study()
    trial = study.ask()
    study._storage.set_trial_system_attr(trial._trial_id, "mixfront:plan", text)
    assert shared_plan(study.get_trials()[0]) == {}
