"""The front that the model expects, where results are noisy."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.analysis.front import Bounds, hypervolume
from nas.objectives import Objective
from nas.sampler import ParetoSampler

OBJECTIVES = (
    Objective("accuracy", "accuracy", "", "maximize", False, "trained"),
    Objective("macs", "MACs", "", "minimize", True, "cost"),
)
NOISE = 0.003  # standard deviation of the accuracy of one training


def search(
    cells: Any, seed: int, noise: float, count: int, declared: bool = True
) -> tuple[ParetoSampler, optuna.Study]:
    sampler = ParetoSampler(cells.space if declared else None, {1: cells.macs}, seed=seed)
    study, rng = cells.study(sampler), np.random.default_rng(seed)
    for _ in range(count):
        trial = study.ask()
        accuracy, macs = cells.objective(trial)
        study.tell(trial, (accuracy + noise * rng.normal(), macs))
    return sampler, study


def numbers(trials: list[FrozenTrial]) -> list[int]:
    return sorted(trial.number for trial in trials)


def test_it_has_better_networks_than_the_front_of_single_results(cells: Any) -> None:
    """By accuracies without noise, three searches together."""
    everything = [(cells.accuracy(params), cells.macs(params)) for params in cells.all_params()]
    bounds = Bounds.of(everything, OBJECTIVES)

    def missing(trials: list[FrozenTrial]) -> float:
        values = [(cells.accuracy(trial.params), cells.macs(trial.params)) for trial in trials]
        return hypervolume(everything, OBJECTIVES, bounds) - hypervolume(values, OBJECTIVES, bounds)

    searches = [search(cells, seed, NOISE, 80) for seed in range(3)]
    expected = sum(missing(sampler.expected_front(study)) for sampler, study in searches)
    assert expected < 0.5 * sum(missing(study.best_trials) for _, study in searches)


@pytest.mark.parametrize("declared", [True, False])
def test_of_exact_results_it_is_nearly_the_front(cells: Any, declared: bool) -> None:
    sampler, study = search(cells, 0, 0.0, 40, declared)
    expected, best = set(numbers(sampler.expected_front(study))), set(numbers(study.best_trials))
    assert len(expected & best) >= 0.8 * len(expected | best)


def test_it_changes_no_suggestion(cells: Any) -> None:
    plain, asked = (search(cells, 0, NOISE, 12) for _ in range(2))
    asked[0].expected_front(asked[1])
    suggested = [[study.ask(cells.space).params for _ in range(4)] for _, study in (plain, asked)]
    assert suggested[0] == suggested[1]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_of_few_results_it_is_the_front_of_the_results(cells: Any, count: int) -> None:
    sampler, study = search(cells, 0, NOISE, count)
    assert numbers(sampler.expected_front(study)) == numbers(study.best_trials)


def test_only_complete_trials_that_keep_their_constraints_are_on_it(cells: Any) -> None:
    sampler, study = search(cells, 0, NOISE, 20)
    best = cells.all_params()[int(np.argmax([cells.accuracy(params) for params in cells.all_params()]))]
    for state in (TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE):
        study.enqueue_trial(best)
        trial = study.ask(cells.space)
        if state == TrialState.COMPLETE:
            trial.set_constraint("latency", 1.0)
            study.tell(trial, (1.0, cells.macs(best)))
        elif state != TrialState.RUNNING:
            study.tell(trial, state=state)
    assert len(study.trials) == 24
    assert max(numbers(sampler.expected_front(study))) < 20


def test_trials_of_another_space_are_left_out(cells: Any) -> None:
    sampler, study = search(cells, 0, NOISE, 20)
    before = numbers(sampler.expected_front(study))
    params = dict.fromkeys(cells.space, "conv5")
    distributions = dict.fromkeys(cells.space, CategoricalDistribution(["conv3", "conv5"]))
    study.add_trial(optuna.create_trial(params=params, distributions=distributions, values=(1.0, 0.5)))
    assert numbers(sampler.expected_front(study)) == before


def test_of_one_objective_it_is_the_trial_with_the_best_expectation(cells: Any) -> None:
    """It is never worse than the best result, and in two of three searches better."""
    gains = []
    for seed in range(1, 4):
        sampler, rng = ParetoSampler(cells.space, seed=seed), np.random.default_rng(seed)
        study = cells.study(sampler, "minimize")
        study.optimize(lambda trial, rng=rng: 1 - cells.objective(trial)[0] + NOISE * rng.normal(), 60)
        (expected,) = sampler.expected_front(study)
        gains.append(cells.accuracy(expected.params) - cells.accuracy(study.best_trial.params))
    assert min(gains) >= 0
    assert sorted(gains)[1] > 0


def test_expected_values_are_nearer_to_those_without_noise_than_results(cells: Any) -> None:
    sampler, study = search(cells, 0, NOISE, 80)
    expected = sampler.expectations(study)
    assert numbers(expected.front) == numbers(sampler.expected_front(study))
    assert list(expected.values) == [trial.number for trial in study.trials]
    truth = np.array([cells.accuracy(trial.params) for trial in study.trials])
    results = np.array([trial.values[0] for trial in study.trials])
    values = expected.values.values()
    medians, low, high = (np.array([getattr(value, name) for value in values]) for name in ("median", "low", "high"))
    assert np.abs(medians - truth).mean() < 0.7 * np.abs(results - truth).mean()
    within = np.mean((low <= truth) & (truth <= high))
    assert 0.5 < within < 0.9  # of 68.3 %


def test_expected_values_have_the_unit_and_the_direction_of_the_objective(cells: Any) -> None:
    sampler = ParetoSampler(cells.space, log=[0], seed=0)
    study = cells.study(sampler, "minimize")
    study.optimize(lambda trial: 1000 * (1 - cells.objective(trial)[0]), 30)
    for number, value in sampler.expectations(study).values.items():
        assert value.low <= value.median <= value.high
        assert value.median == pytest.approx(study.trials[number].value, rel=0.2)


@pytest.mark.parametrize("count", [0, 3])
def test_of_few_results_no_value_is_expected(cells: Any, count: int) -> None:
    sampler, study = search(cells, 0, NOISE, count)
    assert sampler.expectations(study).values == {}
