"""Several trials, threads, studies and processes at once: nobody gets a point that another one has, as far as it can be seen."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from nas.sampler import ParetoSampler

BOX = {"a": CategoricalDistribution(["x", "y", "z"]), "b": IntDistribution(1, 6), "c": CategoricalDistribution([1, 2])}


def cost(params: dict[str, Any]) -> float:
    """Needs all parameters."""
    return float(params["b"] * params["c"] + "xyz".index(params["a"]))


def create_study(seed: int = 0, **options: Any) -> optuna.Study:
    return optuna.create_study(
        directions=["maximize", "minimize"], sampler=ParetoSampler(BOX, {1: cost}, seed=seed, **options)
    )


def key(trial: optuna.trial.FrozenTrial | optuna.Trial) -> tuple[Any, ...]:
    return tuple(sorted(trial.params.items()))


def test_trial_that_was_suggested_some_of_its_parameters_is_pending() -> None:
    study = create_study()
    partly = study.ask()
    partly.suggest_categorical("a", ["x", "y", "z"])
    for _ in range(20):
        trial = study.ask(BOX)
        study.tell(trial, [cost(trial.params) ** 0.5, cost(trial.params)])
    assert len({key(trial) for trial in study.trials[1:]}) == 20


def test_partly_enqueued_trial_gets_the_best_of_the_other_parameters() -> None:
    """Small `b` and `c` are better and cheaper; the smallest `b` was not tried."""
    study = create_study()
    for a, b, c in itertools.product("xz", range(2, 7), (1, 2)):
        study.enqueue_trial({"a": a, "b": b, "c": c})
    study.enqueue_trial({"a": "y"})
    for _ in range(20):
        trial = study.ask(BOX)
        study.tell(trial, [-trial.params["b"] - trial.params["c"], cost(trial.params)])
    assert study.ask(BOX).params == {"a": "y", "b": 1, "c": 1}


def test_partly_enqueued_trials_keep_what_they_were_given_and_differ() -> None:
    study = create_study()
    for _ in range(5):
        study.enqueue_trial({"a": "y"})
    study.enqueue_trial({"b": 3, "c": 2})
    for _ in range(20):
        trial = study.ask(BOX)
        study.tell(trial, [cost(trial.params) ** 0.5, cost(trial.params)])
    assert [trial.params["a"] for trial in study.trials[:5]] == ["y"] * 5
    assert (study.trials[5].params["b"], study.trials[5].params["c"]) == (3, 2)
    assert len({key(trial) for trial in study.trials}) == 20


def test_waiting_trial_with_some_parameters_does_not_reach_the_cost_function() -> None:
    study = create_study()
    first = study.ask(BOX)
    study.enqueue_trial({"a": "z"})
    study.enqueue_trial({"a": "z", "b": 2, "c": 1})
    study.tell(first, [0.1, cost(first.params)])
    trials = [study.ask(BOX) for _ in range(6)]
    assert [trial.params["a"] for trial in trials[:2]] == ["z", "z"]
    assert len({key(trial) for trial in study.trials}) == 7


@pytest.mark.parametrize("is_declared", [True, False])
def test_partial_fixed_sampler_repeats_no_point(is_declared: bool) -> None:
    base = ParetoSampler(BOX if is_declared else None, {1: cost} if is_declared else None, seed=0)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        sampler = optuna.samplers.PartialFixedSampler({"c": 2}, base)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(18):
        trial = study.ask(BOX)
        study.tell(trial, [trial.params["b"] / 6, cost(trial.params)])
    assert all(trial.params["c"] == 2 for trial in study.trials)
    assert len({key(trial) for trial in study.trials}) == 18


def test_two_open_studies_have_their_own_plans() -> None:
    sampler = ParetoSampler(BOX, {1: cost}, seed=0)
    directions = ["maximize", "minimize"]
    studies = [optuna.create_study(directions=directions, study_name="s", sampler=sampler) for _ in range(2)]
    for number in range(15):
        for study in studies if number % 2 else studies[::-1]:
            trial = study.ask(BOX)
            assert trial.params["b"] in range(1, 7)
            study.tell(trial, [cost(trial.params) * (1 if study is studies[0] else -1), cost(trial.params)])
    for study in studies:
        assert len({key(trial) for trial in study.trials}) == 15
    assert [key(trial) for trial in studies[0].trials[3:]] != [key(trial) for trial in studies[1].trials[3:]]


def test_study_that_was_deleted_and_created_again(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    sampler = ParetoSampler(BOX, {1: cost}, seed=0)
    for num_trials in (7, 5):
        study = optuna.create_study(
            storage=storage, study_name="s", directions=["maximize", "minimize"], sampler=sampler
        )
        trials = [study.ask(BOX) for _ in range(num_trials)]
        for trial in trials:
            study.tell(trial, [cost(trial.params), cost(trial.params)])
        assert len({key(trial) for trial in study.trials}) == num_trials
        assert study.trials[0].params == {"a": "x", "b": 1, "c": 1}
        optuna.delete_study(study_name="s", storage=storage)


def open_journal(path: str) -> BaseStorage:
    return JournalStorage(JournalFileBackend(path))


def open_sqlite(path: str) -> BaseStorage:
    return RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})


def work(open_storage: Callable[[str], BaseStorage], path: str, is_declared: bool, num_trials: int) -> None:
    """What each process of a study does."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = ParetoSampler(BOX, {1: cost}, seed=0) if is_declared else ParetoSampler(seed=0)
    study = optuna.load_study(study_name="s", storage=open_storage(path), sampler=sampler)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        trial.suggest_categorical("a", ["x", "y", "z"])
        trial.suggest_int("b", 1, 6)
        trial.suggest_categorical("c", [1, 2])
        return trial.params["b"] / 6, cost(trial.params)

    study.optimize(objective, n_trials=num_trials)


@pytest.mark.parametrize(("open_storage", "is_declared"), [(open_journal, True), (open_sqlite, False)])
def test_processes_on_one_study_share_what_they_plan(
    open_storage: Callable[[str], BaseStorage], is_declared: bool, tmp_path: Path
) -> None:
    path = str(tmp_path / "study")
    optuna.create_study(study_name="s", storage=open_storage(path), directions=["maximize", "minimize"])
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(open_storage, path, is_declared, 8)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    trials = optuna.load_study(study_name="s", storage=open_storage(path)).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 16
    # Nothing shows the space of define-by-run before the first trials, which are random.
    assert len({key(trial) for trial in trials}) >= (16 if is_declared else 14)


def test_a_plan_that_another_process_has_written_is_not_proposed(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    optuna.create_study(study_name="s", storage=open_journal(path), directions=["maximize", "minimize"])
    studies = [
        optuna.load_study(study_name="s", storage=open_journal(path), sampler=ParetoSampler(BOX, {1: cost}, seed=0))
        for _ in range(3)
    ]
    running = [study.ask() for study in studies]
    plans = []
    for trial in running:  # each plans at its first parameter, and only that one is written
        trial.suggest_categorical("a", ["x", "y", "z"])
    for trial in running:
        trial.suggest_int("b", 1, 6)
        trial.suggest_categorical("c", [1, 2])
        plans.append(key(trial))
    assert len(set(plans)) == 3


@pytest.mark.parametrize("is_declared", [True, False])
def test_threads_that_start_at_once(is_declared: bool) -> None:
    space = {"x": FloatDistribution(0, 1), "k": IntDistribution(1, 4)}
    study = optuna.create_study(direction="minimize", sampler=ParetoSampler(space if is_declared else None, seed=0))
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("k", 1, 4), n_trials=24, n_jobs=4)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 24
    assert len({key(trial) for trial in study.trials}) == 24
