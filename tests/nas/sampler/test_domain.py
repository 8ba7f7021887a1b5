"""The contract of every domain, and what the bits of each say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas.sampler.architectures import Architectures
from nas.sampler.domain import ABSENT, LEVELS, Box, Domain, levels_of
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


@pytest.fixture(params=["box", "architectures"])
def domain(request: pytest.FixtureRequest) -> Domain[Any]:
    return Box(BOX) if request.param == "box" else Architectures(SPACE)


def test_points_are_parameters_and_back(domain: Domain[Any]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = domain.sample(rng)
        again = domain.point(domain.params(point))
        assert again is not None
        assert domain.key(again) == domain.key(point)


def test_parameters_of_another_domain_are_none(domain: Domain[Any]) -> None:
    assert domain.point({"other": 1}) is None
    assert domain.point({}) is None


def test_mutants_and_crossings_are_other_points_of_the_domain(domain: Domain[Any]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        a, b = domain.sample(rng), domain.sample(rng)
        mutant, crossing = domain.mutated(a, rng), domain.crossed(a, b, rng)
        assert domain.key(mutant) != domain.key(a)
        for point in (mutant, crossing):
            assert domain.point(domain.params(point)) is not None
        assert domain.key(domain.crossed(a, a, rng)) == domain.key(a)


def test_bits_tell_points_apart_and_distances_are_at_most_one_a_decision(domain: Domain[Any]) -> None:
    rng = np.random.default_rng(2)
    points = list({domain.key(p): p for p in (domain.sample(rng) for _ in range(40))}.values())
    bits, coding = domain.bits(points), domain.coding
    assert bits.shape == (len(points), len(coding.group)) == (len(points), len(coding.weight))
    assert set(np.unique(bits)) <= {0.0, 1.0}
    assert coding.pools.shape[0] == len(coding.group)
    for i in range(len(points)):
        for j in range(i):
            distance = np.bincount(coding.group, coding.weight * (bits[i] != bits[j]))
            assert 0 < distance.max() <= 1 + 1e-12


def test_box_enumerates_every_point_once() -> None:
    box = Box(BOX)
    points = list(box.all())
    assert len(points) == len(set(points)) == box.size == 3 * 3 * 4 * 4 * 1 * 2


def test_distance_of_numbers_is_their_share_of_the_range() -> None:
    box = Box({"k": CategoricalDistribution([3, 5, 7, 9])})
    bits = box.bits([(0,), (1,), (3,)])
    thermometer = box.coding.group == 1
    weight = box.coding.weight[thermometer]
    of = lambda i, j: float(weight @ np.abs(bits[i] - bits[j])[thermometer])  # noqa: E731
    assert of(0, 1) == pytest.approx(1 / 3)
    assert of(0, 2) == pytest.approx(1.0)
    assert of(1, 2) == pytest.approx(2 / 3)


def test_names_are_equally_far_and_counted_where_several_parameters_share_them() -> None:
    box = Box(BOX)
    counts = box.bits([(0, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0)]) @ box.coding.pools
    assert counts.tolist() == [[2, 0, 0], [1, 1, 0]]


def test_parameter_that_a_trial_did_not_ask_for_has_no_bits() -> None:
    box = Box(BOX)
    point = box.point({"kind": "b", "gate": True})
    assert point == (1, ABSENT, ABSENT, ABSENT, 0, 1)
    assert box.params(point) == {"kind": "b", "only": 8, "gate": True}
    assert box.bits([point])[0].sum() == 3


@pytest.mark.parametrize(
    ("distribution", "first", "last", "count"),
    [
        (IntDistribution(1, 9, step=2), 1, 9, 5),
        (IntDistribution(1, 10_000, log=True), 1, 10_000, None),
        (IntDistribution(0, 1000, step=10), 0, 1000, LEVELS),
        (FloatDistribution(0.0, 1.0), 0.0, 1.0, LEVELS),
        (FloatDistribution(1e-5, 1e-1, log=True), 1e-5, 1e-1, LEVELS),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.0, 1.0, 5),
    ],
)
def test_levels_span_the_range_and_belong_to_it(
    distribution: Any, first: float, last: float, count: int | None
) -> None:
    levels = levels_of(distribution)
    assert levels[0] == pytest.approx(first)
    assert levels[-1] == pytest.approx(last)
    assert list(levels) == sorted(set(levels))
    assert len(levels) == count if count is not None else len(levels) <= LEVELS
    assert all(distribution._contains(distribution.to_internal_repr(level)) for level in levels)


def test_value_between_levels_goes_to_the_nearest() -> None:
    box = Box({"lr": FloatDistribution(0.0, 1.0)})
    assert box.params(box.point({"lr": 0.5001}))["lr"] == pytest.approx(0.5, abs=0.02)


def test_true_and_one_are_two_choices() -> None:
    box = Box({"x": CategoricalDistribution([1, True, "1"])})
    assert [box.point({"x": value}) for value in (1, True, "1")] == [(0,), (1,), (2,)]


def test_what_is_no_search_space_is_refused() -> None:
    with pytest.raises(ValueError, match="at least, found none"):
        Box({})
    with pytest.raises(TypeError, match="must hold Optuna distributions, found 3"):
        Box({"x": 3})  # type: ignore[dict-item]


def test_architecture_not_in_the_space_is_no_point() -> None:
    domain = Architectures(SPACE)
    params = domain.params(domain.sample(np.random.default_rng(0)))
    params["stages.0.width"] = 24
    assert domain.point(params) is None
