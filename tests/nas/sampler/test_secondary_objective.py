"""Objectives that need training beside the primary one: their models, and what their uncertainty is worth."""

from __future__ import annotations

import itertools
from typing import Any

import moocore
import numpy as np
import optuna
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from scipy.stats import norm, qmc

from nas.sampler import ParetoSampler, scoring
from nas.sampler.bit_encoding import DecisionLevels, encode_decisions
from nas.sampler.cost_transform import LogBenefit, LogExcess, candidate_transforms
from nas.sampler.features import Features
from nas.sampler.gaussian_process import GaussianProcess
from nas.sampler.improvement import NUM_SOBOL_PLACES, Costs, HypervolumeImprovement, sobol_places
from nas.sampler.secondary_objective import UNSEEN_SHARE, SecondaryObjective
from nas.sampler.warp import CostGoal, CostScale, LogErrorWarp

Floats = NDArray[np.float64]

WARP = LogErrorWarp(1.5, 1.0)
START = -0.25  # of the range of an uncertain cost


def improvement_over(costs: Floats, y: Floats, num_exact: int) -> tuple[HypervolumeImprovement, float]:
    """The improvement over points whose costs, but the first ones, are uncertain and begin at `START`; the box's volume."""
    starts = np.array([0.0 if j < num_exact else START for j in range(costs.shape[1])])
    places = starts + sobol_places(costs.shape[1]) * (1 - starts)
    return HypervolumeImprovement(costs, y, 0.0, np.ones(num_exact), places), float(np.prod(1 - starts))


def simulated(front: Floats, y: Floats, mean: Floats, deviation: Floats, z: float, z_deviation: float) -> float:
    """The mean gain of hypervolume over 4,096 quasi-random outcomes of one candidate; what is below `START` is cut off."""
    num_exact = len(mean) - len(deviation)
    normal = norm.ppf(qmc.Sobol(len(deviation) + 1, seed=1).random(4096))
    costs = np.tile(mean, (4096, 1))
    costs[:, num_exact:] = np.maximum(costs[:, num_exact:] + normal[:, 1:] * deviation, START)
    outcomes = WARP.inverse(z + z_deviation * normal[:, 0])
    reference = [*np.ones(len(mean)), 0.0]
    known = np.column_stack([front, -y])
    before = moocore.hypervolume(known, ref=reference)
    gains = [
        moocore.hypervolume(np.vstack([known, [*cost, -outcome]]), ref=reference) - before
        for cost, outcome in zip(costs, outcomes, strict=True)
    ]
    return float(np.mean(gains))


# 512 places approximate the box.
@pytest.mark.parametrize(("num_exact", "num_uncertain"), [(0, 1), (1, 1), (0, 2), (2, 1), (1, 2)])
def test_expected_hypervolume_improvement_equals_simulation(num_exact: int, num_uncertain: int) -> None:
    rng = np.random.default_rng(num_exact + 10 * num_uncertain)
    front, y = rng.random((6, num_exact + num_uncertain)), rng.random(6)
    improvement, volume = improvement_over(front, y, num_exact)
    mean, deviation = rng.random((4, num_exact + num_uncertain)) * 0.7, rng.uniform(0.05, 0.5, (4, num_uncertain))
    z, z_deviation = rng.normal(0.1, 0.3, 4), rng.uniform(0.1, 0.5, 4)
    values = volume * improvement.expected(Costs(mean, deviation), z, z_deviation, WARP)
    for i, value in enumerate(values):
        expected = simulated(front, y, mean[i], deviation[i], z[i], z_deviation[i])
        assert value == pytest.approx(expected, rel=0.03, abs=0.004)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2), st.integers(1, 2))
@settings(max_examples=30)
def test_without_deviation_it_is_the_improvement_of_exact_costs(seed: int, num_exact: int, num_uncertain: int) -> None:
    rng = np.random.default_rng(seed)
    improvement, _ = improvement_over(rng.random((5, num_exact + num_uncertain)), rng.random(5), num_exact)
    costs = rng.random((7, num_exact + num_uncertain))
    certain = improvement.volumes(Costs(costs, np.full((7, num_uncertain), 1e-12)))
    assert np.array_equal(certain, improvement.volumes(Costs.exact(costs)))


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.5))
@settings(max_examples=30)
def test_a_candidate_that_is_expected_to_be_better_improves_no_less(seed: int, a: float, b: float, up: float) -> None:
    rng = np.random.default_rng(seed)
    improvement, _ = improvement_over(rng.random((5, 2)), rng.random(5), 1)
    costs, deviation = rng.random((6, 2)), rng.uniform(0.01, 0.5, (6, 1))
    z, z_deviation = rng.normal(0.2, 0.3, 6), rng.uniform(0.01, 0.5, 6)
    values = improvement.expected(Costs(costs, deviation), z, z_deviation, WARP)
    better = improvement.expected(Costs(costs - [a, b], deviation), z + up, z_deviation, WARP)
    assert (better >= values - 1e-9).all()


def test_exact_costs_reach_a_number_of_places() -> None:
    """Bit for bit: the share of each level is a multiple of 1/512."""
    rng = np.random.default_rng(0)
    front, y, costs, places = rng.random((6, 2)), rng.random(6), rng.random((9, 2)), sobol_places(2) * 1.01
    improvement = HypervolumeImprovement(front, y, 0.0, np.full(2, 1.01))
    level = [max([0.0, *y[(front <= place).all(axis=1)]]) for place in places]
    counts = [
        [sum(level[k] == bound and (cost <= places[k]).all() for k in range(len(places))) for bound in sorted({*level})]
        for cost in costs
    ]
    assert np.array_equal(improvement.volumes(Costs.exact(costs)), np.array(counts) / NUM_SOBOL_PLACES)


def test_what_is_expected_to_be_dominated_may_improve() -> None:
    """The mean cost is that of a point which is better: exactly that improves nothing, an uncertain one may be lower."""
    improvement, _ = improvement_over(np.array([[0.1]]), np.array([0.9]), 0)
    z, deviation = WARP(np.array([0.5])), np.array([1e-4])
    exact = improvement.expected(Costs.exact(np.array([[0.12]])), z, deviation, WARP)
    uncertain = improvement.expected(Costs(np.array([[0.12]]), np.array([[0.1]])), z, deviation, WARP)
    assert exact == pytest.approx([0.0], abs=1e-12)
    below = (0.5 / 1.25) * (0.1 * (0.2 * norm.cdf(-0.2) * -1 + norm.pdf(0.2)))  # E[max(0.1 - cost, 0)] of the box
    assert uncertain == pytest.approx([below], rel=0.03)


def points(n: int, seed: int = 0) -> Features:
    """Of one smooth feature, and one decision that does not matter."""
    smooth = np.random.default_rng(seed).normal(size=(n, 1))
    return Features(np.zeros((n, 2)), smooth, smooth, np.zeros(n))


def objective(goal: CostGoal | None = None) -> SecondaryObjective:
    _, encoding = encode_decisions([DecisionLevels(2, ordered=False, names="ab")])
    return SecondaryObjective(GaussianProcess(encoding, num_linear=1, num_smooth=1), goal or CostGoal())


def fitted(values: Floats, features: Features, goal: CostGoal | None = None) -> SecondaryObjective:
    model = objective(goal)
    model.fit(features, values, np.random.default_rng(0))
    return model


def untransformed(model: SecondaryObjective, values: Floats) -> Floats:
    """The costs whose transformed values are `values`."""
    assert model.transform is not None
    grid = np.concatenate([-np.geomspace(1e6, 1e-2, 200_000), np.geomspace(1e-2, 1e6, 200_000)])
    transformed = model.transform(grid)
    finite = np.isfinite(transformed)
    return np.interp(values, transformed[finite], grid[finite])


@pytest.mark.parametrize("values", [[100.0, 10.0, 55.0], [-100.0, -10.0, -55.0], [-5.0, 90.0, 2.0]])
@pytest.mark.parametrize("limit", [np.inf, 40.0])
def test_places_are_uniform_on_the_scale_of_costs(values: list[float], limit: float) -> None:
    costs, shares = np.array(values), np.array([0.3, 0.5, 1.0])
    model, scale = fitted(costs, points(3), CostGoal(limit=limit)), CostScale.of(costs)
    end = min(1.1, float(scale(np.array(limit)))) if np.isfinite(limit) and costs.max() > 0 else 1.1
    expected = -UNSEEN_SHARE + shares * (end + UNSEEN_SHARE)
    assert scale(untransformed(model, model.places(shares, 0.1))) == pytest.approx(expected, abs=1e-3)


def test_places_end_at_the_reference() -> None:
    model = fitted(np.array([10.0, 1000.0, 20.0]), points(3), CostGoal(reference=100.0))
    assert untransformed(model, model.places(np.ones(1), 0.1)) == pytest.approx([100.0], rel=1e-3)


@pytest.mark.parametrize("goal", [CostGoal(limit=5.0), CostGoal(reference=5.0)])
def test_places_are_below_what_nothing_keeps_yet(goal: CostGoal) -> None:
    model = fitted(np.array([10.0, 1000.0, 20.0]), points(3), goal)
    assert untransformed(model, model.places(np.ones(1), 0.1)) == pytest.approx([5.0], rel=1e-3)


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=20), st.sampled_from([-101.0, 0.0, 101.0]))
def test_transforms_rise_and_their_slopes_are_derivatives(values: list[int], shift: float) -> None:
    costs = np.array(values) + shift
    for transform, _ in candidate_transforms(costs):
        assert (np.diff(transform(np.sort(costs))) >= 0).all()
        step = 1e-6 * np.ptp(costs) + 1e-9
        slope = (transform(costs + step) - transform(costs)) / step
        assert np.log(slope) - transform.log_slope(costs) == pytest.approx(0, abs=0.02)


def test_likelihood_chooses_the_transform_in_which_effects_add_up() -> None:
    """Of a latency the logarithm, of a throughput its mirror, of a loss with a floor what it has above that."""
    features = points(60)
    effect = 1.5 * features.smooth[:, 0]
    assert fitted(0.01 * np.exp(effect), features).transform == LogExcess(0.0, 0.01 * float(np.exp(effect.min())))
    assert fitted(-1000 * np.exp(-effect), features).transform == LogBenefit()
    with_floor = fitted(5 + np.exp(effect), features).transform
    assert isinstance(with_floor, LogExcess)
    assert 4 < with_floor.floor < 5.1


def test_a_value_below_the_floor_moves_it() -> None:
    features = points(30)
    values = 5 + np.exp(1.5 * features.smooth[:, 0])
    model = fitted(values, features)
    values[3] = 2.0
    assert np.isfinite(model.condition(features, values, points(0))).all()
    assert isinstance(model.transform, LogExcess)
    assert model.transform.floor < 2


def test_equal_values_have_places() -> None:
    places = fitted(np.full(4, 7.0), points(4)).places(np.linspace(0, 1, 5), 0.1)
    assert (np.diff(places) > 0).all()


def test_posterior_means_are_nearer_the_truth_than_noisy_measurements() -> None:
    features, rng = points(40), np.random.default_rng(1)
    truth = 10 * np.exp(0.5 * features.smooth[:, 0])
    measured = truth * np.exp(0.3 * rng.normal(size=40))
    model = fitted(measured, features)
    mean = untransformed(model, model.condition(features, measured, points(0)))
    assert np.abs(np.log(mean / truth)).mean() < 0.5 * np.abs(np.log(measured / truth)).mean()


def test_pending_points_keep_their_mean_and_become_certain() -> None:
    features, pending = points(12), points(3, seed=5)
    values = 10 * np.exp(features.smooth[:, 0])
    values[4] = np.nan
    model = fitted(values, features)
    mean = model.condition(features, values, points(0))
    assert np.isnan(mean).tolist() == [i == 4 for i in range(12)]
    process = model.process
    predicted = process.predict_mean(pending)
    before = process.standard_deviation(process.covariance(pending), pending)
    assert model.condition(features, values, pending)[12:] == pytest.approx(predicted, abs=0.02)
    assert (process.standard_deviation(process.covariance(pending), pending) < 0.95 * before).all()


SPACE = {f"option{i}": CategoricalDistribution(list("abcd")) for i in range(5)}  # 1,024 points


def effect(params: dict[str, Any], values: str) -> float:
    return sum((i + 1) * values.index(params[f"option{i}"]) for i in range(5)) / 45


def true_values(params: dict[str, Any]) -> tuple[float, float]:
    """Accuracy and robustness, which want different options."""
    return 0.6 + 0.3 * effect(params, "abcd"), 0.3 + 0.4 * effect(params, "bdca") ** 2


def all_values() -> list[tuple[float, float]]:
    options = itertools.product("abcd", repeat=len(SPACE))
    return [true_values(dict(zip(SPACE, choices, strict=True))) for choices in options]


def search(sampler: ParetoSampler, num_trials: int, at_once: int = 1) -> optuna.Study:
    """A study of both with noise; nothing is known before."""
    rng = np.random.default_rng(0)
    study = optuna.create_study(directions=["maximize", "maximize"], sampler=sampler)
    for _ in range(num_trials // at_once):
        sampler.expect(at_once)
        trials = [study.ask(SPACE) for _ in range(at_once)]
        for trial in trials:
            study.tell(trial, (np.array(true_values(trial.params)) + 0.003 * rng.normal(size=2)).tolist())
    return study


@pytest.mark.parametrize("at_once", [1, 8])
def test_both_ends_of_a_front_of_two_uncertain_objectives_are_found(at_once: int) -> None:
    study = search(ParetoSampler(SPACE, seed=0), 40, at_once)
    accuracies, robustnesses = np.array([trial.values for trial in study.trials]).T
    assert accuracies.max() > 0.88  # of 0.9
    assert robustnesses.max() > 0.66  # of 0.7


def test_limit_of_a_noisy_uncertain_objective_is_kept_once_learned() -> None:
    study = search(ParetoSampler(SPACE, limits={1: 0.55}, seed=0), 40)
    values = np.array([trial.values for trial in study.trials])
    assert (values[20:, 1] >= 0.54).mean() >= 0.8  # 5 % of all points do
    best = max(accuracy for accuracy, robustness in all_values() if robustness >= 0.55)
    assert values[values[:, 1] >= 0.55, 0].max() > best - 0.02


def test_a_limit_that_no_point_keeps_is_approached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the uncertainty of few candidates is computed, and without it none is worth anything."""
    monkeypatch.setattr(scoring, "MAX_UNCERTAIN_COSTS", 16)
    study = search(ParetoSampler(SPACE, limits={1: 0.9}, seed=0), 12)
    assert (
        np.mean([trial.values[1] for trial in study.trials[4:]]) > 0.57
    )  # the mean of all points is 0.41, the highest 0.7
