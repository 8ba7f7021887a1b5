"""The contract of every domain, and the meaning of its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampler.architecture_domain import ArchitectureDomain
from nas.sampler.domain import Domain
from nas.sampler.optuna_adapter import contains
from nas.sampler.parameter_domain import ParameterDomain
from nas.sampler.parameters import ABSENT_LEVEL, CONTINUOUS_SIZE, parameter_of
from search_space import SearchSpace

BOX = {
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "again": CategoricalDistribution(["a", "b", "c"]),
    "k": CategoricalDistribution([3, 5, 7, 9]),
    "depth": IntDistribution(1, 4),
    "only": CategoricalDistribution([8]),
    "gate": CategoricalDistribution([False, True]),
}
SPACE = SearchSpace.from_dict(
    {
        "image_size": 16,
        "layout": ["isotropic", "pyramid"],
        "num_stages": [1, 2],
        "stem": {"patch": [1, 2]},
        "stages": [
            {
                "mixer": {"conv": {"k": [3, 5, 7]}, "attention": {"heads": [2, 4]}, "pool": None},
                "channel_mixer": {"mlp": {"expansion": [1, 2], "groups": "full"}},
                "depth": [1, 2, 3],
                "width": [16, 32],
            }
        ]
        * 2,
    }
)


@pytest.fixture(params=["parameters", "architectures"])
def domain(request: pytest.FixtureRequest) -> Domain[Any]:
    return ParameterDomain(BOX) if request.param == "parameters" else ArchitectureDomain(SPACE)


def test_points_are_parameters_and_back(domain: Domain[Any]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = domain.sample(rng)
        again = domain.from_params(domain.to_params(point))
        assert again is not None
        assert domain.key(again) == domain.key(point)


def test_parameters_of_another_domain_give_no_point(domain: Domain[Any]) -> None:
    assert domain.from_params({"other": 1}) is None
    assert domain.from_params({}) is None


def test_mutants_and_crossovers_are_points_of_the_domain(domain: Domain[Any]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        a, b = domain.sample(rng), domain.sample(rng)
        mutant, child = domain.mutate(a, rng), domain.crossover(a, b, rng)
        assert domain.key(mutant) != domain.key(a)
        for point in (mutant, child):
            assert domain.from_params(domain.to_params(point)) is not None
        assert domain.key(domain.crossover(a, a, rng)) == domain.key(a)


def test_bits_distinguish_points_and_distances_are_at_most_one_per_decision(domain: Domain[Any]) -> None:
    rng = np.random.default_rng(2)
    points = list({domain.key(p): p for p in (domain.sample(rng) for _ in range(40))}.values())
    bits, encoding = domain.encode(points), domain.encoding
    assert bits.shape == (len(points), len(encoding.decision)) == (len(points), len(encoding.distance))
    assert set(np.unique(bits)) <= {0.0, 1.0}
    assert encoding.count_matrix.shape[0] == len(encoding.decision)
    for i in range(len(points)):
        for j in range(i):
            distance = np.bincount(encoding.decision, encoding.distance * (bits[i] != bits[j]))
            assert 0 < distance.max() <= 1 + 1e-12


def test_box_enumerates_every_point_once() -> None:
    box = ParameterDomain(BOX)
    points = list(box.points())
    assert len(points) == len(set(points)) == box.size == 3 * 3 * 4 * 4 * 1 * 2


def test_distance_of_numbers_is_their_share_of_the_range() -> None:
    box = ParameterDomain({"k": CategoricalDistribution([3, 5, 7, 9])})
    bits = box.encode([(0,), (1,), (3,)])
    thermometer = box.encoding.decision == 1
    weight = box.encoding.distance[thermometer]

    def distance(i: int, j: int) -> float:
        return float(weight @ np.abs(bits[i] - bits[j])[thermometer])

    assert distance(0, 1) == pytest.approx(1 / 3)
    assert distance(0, 2) == pytest.approx(1.0)
    assert distance(1, 2) == pytest.approx(2 / 3)


def test_values_shared_by_several_parameters_are_counted() -> None:
    box = ParameterDomain(BOX)
    counts = box.encode([(0, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0)]) @ box.encoding.count_matrix
    assert counts.tolist() == [[2, 0, 0], [1, 1, 0]]


def test_absent_parameter_has_no_bits() -> None:
    box = ParameterDomain(BOX)
    point = box.from_params({"kind": "b", "gate": True})
    assert point == (1, ABSENT_LEVEL, ABSENT_LEVEL, ABSENT_LEVEL, 0, 1)
    assert box.to_params(point) == {"kind": "b", "only": 8, "gate": True}
    assert box.encode([point])[0].sum() == 3


@pytest.mark.parametrize(
    ("distribution", "count"),
    [
        (IntDistribution(1, 9, step=2), 5),
        (IntDistribution(1, 10_000, log=True), 10_000),
        (IntDistribution(0, 1000, step=10), 101),
        (IntDistribution(-7, 90), 98),
        (FloatDistribution(0.0, 1.0), CONTINUOUS_SIZE),
        (FloatDistribution(1e-5, 1e-1, log=True), CONTINUOUS_SIZE),
        (FloatDistribution(0.0, 1.0, step=0.25), 5),
        (FloatDistribution(-10.2, 10.2, step=0.1), 205),
        (FloatDistribution(3.0, 3.0), 1),
    ],
)
def test_levels_span_the_range_and_belong_to_it(distribution: Any, count: int) -> None:
    parameter = parameter_of(distribution)
    assert parameter.count == count
    levels = list(parameter.levels())
    values = [parameter.value(level) for level in levels]
    assert values[0] == distribution.low
    assert values[-1] == pytest.approx(distribution.high)
    assert values == sorted(set(values))
    if count < CONTINUOUS_SIZE:
        assert len(values) == count
    rng = np.random.default_rng(0)
    level = levels[-1]
    for _ in range(200):
        assert parameter.level(parameter.value(level)) == level
        assert contains(distribution, parameter.value(level))
        assert contains(distribution, parameter.value(parameter.sample(rng)))
        if count > 1:
            mutant = parameter.mutate(level, rng)
            assert mutant != level
            level = mutant


def test_range_reaches_every_value_evenly() -> None:
    parameter = parameter_of(IntDistribution(0, 39))
    rng = np.random.default_rng(0)
    counts = np.bincount([int(parameter.sample(rng)) for _ in range(8000)], minlength=40)
    assert counts.min() > 130  # 200 each


def test_points_of_a_continuous_range_keep_their_value() -> None:
    box = ParameterDomain({"lr": FloatDistribution(1e-5, 1.0, log=True), "k": IntDistribution(1, 4)})
    point = box.from_params({"lr": 0.0123456789, "k": 2})
    assert point is not None
    assert box.to_params(point) == {"lr": 0.0123456789, "k": 2}
    assert box.coordinates([point]) == pytest.approx(np.array([[np.log(0.0123456789 / 1e-5) / np.log(1e5)]]))
    assert box.from_params({"lr": 0.01234567891, "k": 2}) != point


def test_distance_in_a_continuous_range_is_that_of_positions() -> None:
    box = ParameterDomain({"x": FloatDistribution(-1.0, 3.0)})
    points = [(-1.0,), (0.0,), (3.0,), (ABSENT_LEVEL,)]
    bits = box.encode(points)
    distance = np.abs(bits[:, None] - bits[None, :]) @ box.encoding.distance
    assert distance[0, 1] == pytest.approx(0.25)
    assert distance[1, 2] == pytest.approx(0.75)
    assert distance[0, 2] == pytest.approx(1.0)
    assert not bits[3].any()


def test_unsorted_numbers_are_ordered_by_their_value() -> None:
    box = ParameterDomain({"k": CategoricalDistribution([64, 16, 128, 32])})
    points = [box.from_params({"k": value}) for value in (16, 32, 64, 128)]
    bits = box.encode([point for point in points if point is not None])
    thermometer = bits[:, box.encoding.decision == 1]
    assert thermometer.sum(axis=1).tolist() == [0, 1, 2, 3]
    assert [box.to_params(point)["k"] for point in points if point is not None] == [16, 32, 64, 128]


def test_value_of_a_short_range_that_lies_between_two_levels_gets_the_nearest() -> None:
    box = ParameterDomain({"x": FloatDistribution(0.0, 1.0, step=0.25)})
    point = box.from_params({"x": 0.4})
    assert point is not None
    assert box.to_params(point) == {"x": 0.5}


@pytest.mark.parametrize("known", [{"depth": 3}, {"kind": "b", "gate": True}])
def test_fixed_parameters_are_in_every_new_point(known: dict[str, Any]) -> None:
    box = ParameterDomain(BOX)
    rng = np.random.default_rng(0)
    point, other = box.sample(rng), box.sample(rng)
    with box.fixed_to(known):
        for _ in range(20):
            for new in (box.sample(rng), box.mutate(point, rng), box.crossover(point, other, rng)):
                assert known.items() <= box.to_params(new).items()
                assert box.has_fixed(new)
    assert box.has_fixed(point)


def test_true_and_one_are_two_choices() -> None:
    box = ParameterDomain({"x": CategoricalDistribution([1, True, "1"])})
    assert [box.from_params({"x": value}) for value in (1, True, "1")] == [(0,), (1,), (2,)]


def test_invalid_search_space_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold at least one distribution, found none"):
        ParameterDomain({})
    with pytest.raises(TypeError, match="must hold Optuna distributions, found 3"):
        ParameterDomain({"x": 3})  # type: ignore[dict-item]


def test_architecture_outside_the_space_is_no_point() -> None:
    domain = ArchitectureDomain(SPACE)
    params = domain.to_params(domain.sample(np.random.default_rng(0)))
    params["stages.0.width"] = 24
    assert domain.from_params(params) is None


def test_an_architecture_is_completed_at_random() -> None:
    domain = ArchitectureDomain(SPACE)
    params = domain.to_params(domain.sample(np.random.default_rng(3)))
    known = dict(list(params.items())[:3])
    completed = [domain.complete(known, np.random.default_rng(seed)) for seed in range(8)]
    assert all(point is not None and known.items() <= domain.to_params(point).items() for point in completed)
    assert len({point.id for point in completed if point is not None}) > 2
    assert domain.complete({"other": 1}, np.random.default_rng(0)) is None
    assert domain.complete({}, np.random.default_rng(0)) is None
