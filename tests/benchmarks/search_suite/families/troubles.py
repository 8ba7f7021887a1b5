"""Problems with one trouble each: failures, limits, plateaus, costs that mislead, and a best network that is the largest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from search_suite.catalogue import family
from search_suite.families.products import MACS, PARAMS, create, quality_of
from search_suite.problem import Response, SpaceProblem, objective
from search_suite.responses import (
    MEASURES,
    Measure,
    Term,
    additive_cost,
    product_cost,
    standardise,
    table_sum,
    weighted,
)
from search_suite.space import Floats, Rng, Space, categorical, ordinal


def _space() -> Space:
    return Space(
        (
            categorical("mixer", "conv", "pool", "attention", "lambda"),
            ordinal("kernel", 3, 5, 7),
            ordinal("width0", 16, 24, 32, 48, 64, 96),
            ordinal("width1", 16, 32, 64, 128),
            ordinal("depth", 1, 2, 3),
            ordinal("expansion", 1, 2, 3, 4, 6, 8),
            categorical("norm", "batch", "layer"),
        )
    )


def _replace(problem: SpaceProblem, change: Callable[[Floats, Floats, Floats], Floats]) -> SpaceProblem:
    """`problem` with `change(rows, costs, trained values)` instead of its trained values."""
    inner = problem.response

    def trained(rows: Floats, costs: Floats) -> Floats:
        return change(rows, costs, inner.trained(rows, costs))

    response = Response(inner.costs, trained, inner.noisy)
    return SpaceProblem(problem.name, problem.space, problem.objectives, response, features=problem.features)


def _usual(name: str, seed: int, *, rho: float = 0.6, measure: str = "accuracy") -> SpaceProblem:
    rng = np.random.default_rng(seed)
    space = _space()
    cost = product_cost(space, rng, 1e7, 4.5)
    return create(
        name, space, quality_of(space, cost, rng, rho=rho, main=1.0, pairs=6, pair=0.6), [cost], measure, [MACS]
    )


@family("fail_expensive")
def create_fail_expensive(name: str, seed: int) -> SpaceProblem:
    """10,368 points, of which the most expensive 6 % fail (out of memory): accuracy against log MACs."""
    problem = _usual(name, seed)
    costs = np.concatenate([problem.response.costs(rows)[:, 0] for rows in problem.space.chunks()])
    most = float(np.quantile(costs, 0.94))
    return _replace(problem, lambda rows, costs, values: np.where(costs[:, :1] > most, np.nan, values))


@family("fail_mixer")
def create_fail_mixer(name: str, seed: int) -> SpaceProblem:
    """10,368 points; one of four mixers fails with a kernel above 3: error against log MACs."""
    problem = _usual(name, seed, measure="error")

    def change(rows: Floats, costs: Floats, values: Floats) -> Floats:
        return np.where(((rows[:, 0] == 2) & (rows[:, 1] > 0))[:, None], np.nan, values)

    return _replace(problem, change)


@family("inf_third")
def create_inf_third(name: str, seed: int) -> SpaceProblem:
    """10,368 points, a third of which gives an infinite loss: loss against log MACs."""
    problem = _usual(name, seed, measure="loss")

    def change(rows: Floats, costs: Floats, values: Floats) -> Floats:
        diverges = (rows[:, 5] + 2 * rows[:, 4] + 3 * (rows[:, 6] == 0)) > 6
        return np.where(diverges[:, None], np.inf, values)

    return _replace(problem, change)


@family("plateau")
def create_plateau(name: str, seed: int) -> SpaceProblem:
    """10,368 points, six of ten at chance: accuracy against log MACs."""
    rng = np.random.default_rng(seed)
    space = _space()
    cost = product_cost(space, rng, 1e7, 4.5)
    quality = quality_of(space, cost, rng, rho=0.4, main=1.0, pairs=6, pair=0.8)
    threshold = float(np.quantile(quality(space.sample(rng, 4000)), 0.6))

    def above_chance(rows: Floats) -> Floats:
        values = quality(rows)
        return np.where(values > threshold, values, -8.0)

    return create(name, space, above_chance, [cost], "accuracy", [MACS])


@family("uncorrelated")
def create_uncorrelated(name: str, seed: int) -> SpaceProblem:
    """10,368 points with a cost that says nothing of the accuracy: accuracy against raw MACs."""
    rng = np.random.default_rng(seed)
    space = _space()
    cost = product_cost(space, rng, 1e7, 3.0)
    quality = quality_of(space, cost, rng, rho=0.0, main=1.0, pairs=8, pair=0.8)
    return create(name, space, quality, [cost], "accuracy", [objective("macs", "minimize", cheap=True)])


@family("anticorrelated")
def create_anticorrelated(name: str, seed: int) -> SpaceProblem:
    """10,368 points where cheap networks are better on the whole, but not the best one: loss against log MACs."""
    rng = np.random.default_rng(seed)
    space = _space()
    cost = product_cost(space, rng, 1e7, 4.0)
    quality = quality_of(space, cost, rng, rho=-0.6, main=1.0, pairs=6, pair=0.6)

    def with_exception(rows: Floats) -> Floats:
        special = (rows[:, 0] == 3) & (rows[:, 2] >= 4) & (rows[:, 5] >= 3)
        return quality(rows) + 2.5 * special

    return create(name, space, with_exception, [cost], "loss", [MACS])


@family("largest_best")
def create_largest_best(name: str, seed: int) -> SpaceProblem:
    """Size 1 to 5 in four stages, and options that cost nothing (80,000 points): the best network is the largest."""
    rng = np.random.default_rng(seed)
    sizes = tuple(ordinal(f"size{i}", 1, 2, 3, 4, 5) for i in range(4))
    free = (categorical("act", "relu", "gelu"), ordinal("kernel", 3, 5, 7, 9), categorical("norm", "batch", "layer"))
    schedule = (categorical("init", *"abcd"), categorical("skip", False, True))
    space = Space((*sizes, *free, *schedule))
    only_sizes = Space(sizes)
    total = additive_cost(only_sizes, rng, 1e6)

    def cost(rows: Floats) -> Floats:
        return total(rows[:, :4])

    size = standardise(lambda rows: np.log(cost(rows)), space)
    effects = table_sum([rng.normal(0, 1, count) * (i >= 4) for i, count in enumerate(space.counts)])
    options = standardise(effects, space)

    return create(name, space, weighted((0.9, size), (0.45, options)), [cost], "accuracy", [MACS])


@family("limits")
def create_limits(name: str, seed: int) -> SpaceProblem:
    """10,368 points: accuracy against log MACs, with limits on parameters (cheap) and on a trained latency, 12 % are allowed."""
    rng = np.random.default_rng(seed)
    space, unit = _space(), MEASURES["accuracy"]
    macs, params = product_cost(space, rng, 1e7, 4.5), product_cost(space, rng, 1e5, 4.0)
    quality = quality_of(space, macs, rng, rho=0.6, main=1.0, pairs=6, pair=0.6)
    slowness = standardise(lambda rows: np.log(params(rows) * macs(rows) ** 0.5), space)

    def trained(rows: Floats, costs: Floats) -> Floats:
        return np.stack([unit.of_quality(quality(rows)), 5 * np.exp(0.5 * slowness(rows))], axis=1)

    response = Response(
        lambda rows: np.stack([macs(rows), params(rows)], axis=1),
        trained,
        lambda values, generator: np.array([unit.noisy(values[0], 1.0, generator), values[1]]),
    )
    sample = space.sample(rng, 4000)
    costs = response.costs(sample)
    limits = {
        "params": float(np.quantile(costs[:, 1], 0.4)),
        "latency_ms": float(np.quantile(trained(sample, costs)[:, 1], 0.2)),
    }
    objectives = (unit.objective, MACS, PARAMS, objective("latency_ms", "minimize", log=True))
    return SpaceProblem(name, space, objectives, response, limits=limits)


@family("two_trained")
def create_two_trained(name: str, seed: int) -> SpaceProblem:
    """10,368 points: accuracy and a loss on other data, both trained, against log MACs."""
    return _several(name, seed, [MEASURES["accuracy"], MEASURES["loss"]])


@family("four")
def create_four(name: str, seed: int) -> SpaceProblem:
    """10,368 points: error and throughput, both trained, against log MACs and raw parameters."""
    rng = np.random.default_rng(seed)
    space, unit = _space(), MEASURES["error"]
    macs, params = product_cost(space, rng, 1e7, 4.5), additive_cost(space, rng, 1e4)
    quality = quality_of(space, macs, rng, rho=0.6, main=1.0, pairs=6, pair=0.6)
    other = standardise(quality_of(space, params, rng, rho=0.5, main=1.0), space)

    def trained(rows: Floats, costs: Floats) -> Floats:
        speed = 1e9 * costs[:, 0] ** -0.7 * np.exp(-0.15 * other(rows))
        return np.stack([unit.of_quality(quality(rows)), speed], axis=1)

    response = Response(
        lambda rows: np.stack([macs(rows), params(rows)], axis=1),
        trained,
        lambda values, generator: np.array([unit.noisy(values[0], 1.0, generator), values[1]]),
    )
    raw = objective("params", "minimize", cheap=True)
    speed = objective("images_per_s", "maximize", log=True)
    return SpaceProblem(name, space, (unit.objective, MACS, raw, speed), response)


def _several(name: str, seed: int, units: list[Measure]) -> SpaceProblem:
    rng = np.random.default_rng(seed)
    space = _space()
    macs = product_cost(space, rng, 1e7, 4.5)
    qualities: list[Term] = [quality_of(space, macs, rng, rho=0.6, main=1.0, pairs=6, pair=0.6) for _ in units]
    for i in range(1, len(qualities)):
        qualities[i] = standardise(weighted((0.7, qualities[0]), (0.7, qualities[i])), space)

    def trained(rows: Floats, costs: Floats) -> Floats:
        return np.stack([unit.of_quality(q(rows)) for unit, q in zip(units, qualities, strict=True)], axis=1)

    def noisy(values: Floats, generator: Rng) -> Floats:
        return np.array([unit.noisy(value, 1.0, generator) for unit, value in zip(units, values, strict=True)])

    response = Response(lambda rows: macs(rows)[:, None], trained, noisy)
    return SpaceProblem(name, space, (*(unit.objective for unit in units), MACS), response)
