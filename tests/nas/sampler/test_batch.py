"""Several proposals from one model: by the definition (one observation after the other), and as an Optuna sampler uses them."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from nas.sampler import ParetoSampler
from nas.sampler.batch import Batch, Uncertainty
from nas.sampler.batching import MAX_BATCH, BatchingSampler, batch_size
from nas.sampler.engine import Engine
from nas.sampler.improvement import Costs, HypervolumeImprovement, sobol_places
from nas.sampler.objective_models import FrontEstimate
from nas.sampler.warp import LogErrorWarp

BOX = {f"width{i}": CategoricalDistribution([1, 2, 3, 4]) for i in range(5)}  # 1,024 points
WARP = LogErrorWarp(ceiling=1.0, unit=1.0)


def size(params: dict[str, Any]) -> float:
    return float(sum(params[name] ** 2 for name in BOX))


def create_study(seed: int = 0) -> tuple[optuna.Study, ParetoSampler]:
    sampler = ParetoSampler(BOX, cheap={1: size}, seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    return study, sampler


def tell(study: optuna.Study, trial: optuna.Trial) -> None:
    study.tell(trial, [1 - (1 + size(trial.params)) ** -0.3, size(trial.params)])


def estimate(costs: Any, y: Any) -> FrontEstimate:
    return FrontEstimate(HypervolumeImprovement(np.array(costs), np.array(y), 0.0, np.ones(1)), WARP, [], False)


def expected_improvement(front: FrontEstimate, costs: Any, mean: Any, deviation: Any) -> Any:
    return front.improvement.expected(costs, mean, deviation, WARP)


def posterior_deviation(covariance: Any, noise: float, before: list[int]) -> Any:
    """The deviations given observations of the points `before`, from the definition."""
    inner = covariance[np.ix_(before, before)] + noise**2 * np.eye(len(before))
    return np.sqrt(np.diag(covariance - covariance[:, before] @ np.linalg.solve(inner, covariance[before])))


def test_each_choice_is_the_best_after_the_predicted_results_of_those_before() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(30, 30))
    covariance = root @ root.T / 60
    costs, mean, noise = rng.random((30, 1)), rng.normal(0.5, 0.3, 30), 0.1
    front = estimate([[0.5]], [0.3])
    chosen = Batch(front, costs, mean, Uncertainty(covariance, noise)).select(5, expected_improvement, np.ones(30))
    # From the definition: the posterior given the chosen ones, and the front with them at their predicted values.
    for count in range(5):
        before = chosen[:count]
        deviation = posterior_deviation(covariance, noise, before)
        y = WARP.inverse(mean[before])
        extended = estimate(np.concatenate([[[0.5]], costs[before]]), np.concatenate([[0.3], y]))
        scores = expected_improvement(extended, Costs.exact(costs), mean, deviation)
        scores[before] = -np.inf
        assert chosen[count] == int(np.argmax(scores))


def test_a_predicted_cost_is_believed_like_the_primary_objective() -> None:
    rng = np.random.default_rng(1)
    roots = rng.normal(size=(2, 30, 30))
    primary, secondary = roots @ roots.transpose(0, 2, 1) / [[[60.0]], [[600.0]]]
    costs, mean = rng.random((30, 2)), rng.normal(0.5, 0.3, 30)
    known, y, places = np.array([[0.5, 0.5]]), np.array([0.3]), sobol_places(2)

    def front(costs: Any, y: Any) -> FrontEstimate:
        improvement = HypervolumeImprovement(np.array(costs), np.array(y), 0.0, np.ones(1), places)
        return FrontEstimate(improvement, WARP, [], False)

    batch = Batch(front(known, y), costs, mean, Uncertainty(primary, 0.1), [Uncertainty(secondary, 0.02)])
    chosen = batch.select(4, expected_improvement, np.ones(30))
    for count in range(4):
        before = chosen[:count]
        extended = front(np.concatenate([known, costs[before]]), np.concatenate([y, WARP.inverse(mean[before])]))
        uncertain = Costs(costs, posterior_deviation(secondary, 0.02, before)[:, None])
        scores = expected_improvement(extended, uncertain, mean, posterior_deviation(primary, 0.1, before))
        scores[before] = -np.inf
        assert chosen[count] == int(np.argmax(scores))


def test_weights_count() -> None:
    weight = np.array([1.0, 0.001, 1.0])
    batch = Batch(
        estimate([[0.9]], [0.1]), np.full((3, 1), 0.1), np.array([0.2, 0.9, 0.3]), Uncertainty(0.01 * np.eye(3), 0.1)
    )
    assert batch.select(3, expected_improvement, weight) == [2, 0, 1]


def test_no_more_points_than_candidates() -> None:
    batch = Batch(
        estimate([[0.9]], [0.1]), np.full((2, 1), 0.1), np.array([0.2, 0.3]), Uncertainty(0.01 * np.eye(2), 0.1)
    )
    assert sorted(batch.select(9, expected_improvement, np.ones(2))) == [0, 1]


def test_one_model_serves_as_many_trials_as_are_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    study, sampler = create_study()
    assert isinstance(sampler, BatchingSampler)
    for _ in range(8):
        tell(study, study.ask(BOX))
    fits = count_suggestions(monkeypatch)
    sampler.expect(4)
    trials = [study.ask(BOX) for _ in range(8)]
    assert len(fits) == 2
    assert all(sampler.prediction(trial.number) is not None for trial in trials)
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 16  # none twice
    sampler.expect(1000)
    for _ in range(MAX_BATCH + 1):
        study.ask(BOX)
    assert len(fits) == 4


def count_suggestions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the size of each batch that an engine is asked for."""
    counts: list[int] = []
    suggest = Engine.suggest_batch

    def counted(engine: Engine[Any], *arguments: Any) -> Any:
        counts.append(arguments[-1])
        return suggest(engine, *arguments)

    monkeypatch.setattr(Engine, "suggest_batch", counted)
    return counts


def test_plans_that_are_too_old_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    study, sampler = create_study()
    for _ in range(8):
        tell(study, study.ask(BOX))
    sampler.expect(4)
    running = [study.ask(BOX) for _ in range(6)]  # two plans are left
    fits = count_suggestions(monkeypatch)
    for trial in running[:5]:
        tell(study, trial)
    study.ask(BOX)
    assert fits == [4]


def test_a_sampler_that_expects_one_trial_proposes_as_one_that_was_told_nothing() -> None:
    def proposals(expect: bool) -> list[Any]:
        study, sampler = create_study(seed=5)
        for _ in range(20):
            if expect:
                sampler.expect(1)
            tell(study, study.ask(BOX))
        return [trial.params for trial in study.trials]

    assert proposals(True) == proposals(False)


def test_the_batch_shrinks_as_fewer_workers_wait() -> None:
    assert [batch_size(waiting, 0.0) for waiting in (1, 7, 8, 17, 64, 512)] == [1, 1, 2, 4, 16, MAX_BATCH]


def test_the_batch_serves_the_workers_that_will_wait_meanwhile() -> None:
    assert [batch_size(1, arriving) for arriving in (0.0, 0.4, 0.5, 1.2, 3.3, 100.0)] == [1, 1, 1, 3, 7, MAX_BATCH]
    assert batch_size(40, 3.3) == 10
