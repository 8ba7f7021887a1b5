"""Spaces of independent choices: categorical, ordinal and mixed ones, in the units in which networks are measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.objectives import Objective
from search_suite.catalogue import family
from search_suite.problem import Response, SpaceProblem, objective
from search_suite.responses import (
    MEASURES,
    Term,
    additive_cost,
    main_effects,
    pair_effects,
    product_cost,
    random_pairs,
    standardise,
    weighted,
)
from search_suite.space import Floats, Parameter, Rng, Space, categorical, ordinal


def create(
    name: str,
    space: Space,
    quality: Term,
    costs: Sequence[Term],
    measure: str,
    cheap: Sequence[Objective],
    *,
    noise: float = 1.0,
    trained_first: bool = True,
    to_median: bool = False,
) -> SpaceProblem:
    """A problem of one trained objective, which `quality` decides.

    Args:
        name: its name.
        space: its points.
        quality: of a point.
        costs: of a point; those without an objective of their own are features.
        measure: the unit of quality, a key of `MEASURES`.
        cheap: the objectives that `costs` are, in their order.
        noise: of a training, see `Measure.noisy`.
        trained_first: whether the trained objective stands before the cheap ones.
        to_median: whether only values better than the median of all points count.
    """
    unit = MEASURES[measure]

    def trained(rows: Floats, costs: Floats) -> Floats:
        return unit.of_quality(quality(rows))[:, None]

    def noisy(values: Floats, rng: Rng) -> Floats:
        return np.array([unit.noisy(values[0], noise, rng)])

    response = Response(lambda rows: np.stack([cost(rows) for cost in costs], axis=1), trained, noisy)
    objectives = (unit.objective, *cheap) if trained_first else (*cheap, unit.objective)
    sample = space.sample(np.random.default_rng(0), 4000)
    worst = {unit.objective.name: float(np.median(trained(sample, sample)))} if to_median else {}
    return SpaceProblem(name, space, objectives, response, features=len(costs) - len(cheap), worst=worst)


def quality_of(
    space: Space, cost: Term, rng: Rng, *, rho: float, main: float, pairs: int = 0, pair: float = 0.0
) -> Term:
    """Quality that is correlated by `rho` with the logarithm of `cost`; the rest has main and pair effects with weights."""
    own = [(main, standardise(main_effects(space, rng), space))]
    if pairs:
        own.append((pair, standardise(pair_effects(space, rng, random_pairs(space, rng, pairs)), space)))
    structure = standardise(weighted(*own), space)
    size = standardise(lambda rows: np.log(cost(rows)), space)
    return standardise(weighted((rho, size), ((1 - rho**2) ** 0.5, structure)), space)


MACS = objective("macs", "minimize", log=True, cheap=True)
PARAMS = objective("params", "minimize", log=True, cheap=True)


@family("categorical")
def create_categorical(name: str, seed: int) -> SpaceProblem:
    """8 unordered choices of 4 (65,536 points), many interactions: error against log MACs."""
    rng = np.random.default_rng(seed)
    space = Space(tuple(categorical(f"op{i}", "conv", "attention", "pool", "shift") for i in range(8)))
    cost = product_cost(space, rng, 1e7, 4.0)
    quality = quality_of(space, cost, rng, rho=0.6, main=1.0, pairs=12, pair=0.8)
    return create(name, space, quality, [cost], "error", [MACS])


@family("ordinal")
def create_ordinal(name: str, seed: int) -> SpaceProblem:
    """6 ordered choices of 7 (117,649 points), smooth: loss against raw size in MB."""
    rng = np.random.default_rng(seed)
    space = Space(tuple(ordinal(f"width{i}", 16, 24, 32, 48, 64, 96, 128) for i in range(6)))
    cost = additive_cost(space, rng, 2.0)
    quality = quality_of(space, cost, rng, rho=0.7, main=1.0, pairs=5, pair=0.6)
    megabytes = objective("megabytes", "minimize", cheap=True)
    return create(name, space, quality, [cost], "loss", [megabytes], to_median=True)


def _mixed_space() -> Space:
    parameters: tuple[Parameter, ...] = (
        categorical("mixer", "conv", "attention", "pool", "lambda", "shift"),
        ordinal("kernel", 3, 5, 7, 9),
        ordinal("width", 16, 32, 64, 128, 256),
        ordinal("depth", 1, 2, 3, 4),
        categorical("norm", "batch", "layer", "none"),
        ordinal("expansion", 1, 2, 3, 4),
        categorical("residual", True, False),
        ordinal("heads", 1, 2, 4, 8),
    )
    return Space(parameters)


@family("perplexity")
def create_perplexity(name: str, seed: int) -> SpaceProblem:
    """8 mixed choices (38,400 points): perplexity with a heavy tail, not logarithmic, against log parameters."""
    rng = np.random.default_rng(seed)
    space = _mixed_space()
    cost = product_cost(space, rng, 1e5, 5.0)
    quality = quality_of(space, cost, rng, rho=0.55, main=1.0, pairs=6, pair=0.6)
    return create(name, space, quality, [cost], "perplexity", [PARAMS], to_median=True)


@family("rmse")
def create_rmse(name: str, seed: int) -> SpaceProblem:
    """8 mixed choices: RMSE of some 1e4 with noise against log MACs and raw parameters."""
    rng = np.random.default_rng(seed)
    space = _mixed_space()
    macs, params = product_cost(space, rng, 1e7, 5.0), additive_cost(space, rng, 1e4)
    quality = quality_of(space, macs, rng, rho=0.5, main=1.0, pairs=8, pair=0.7)
    raw = objective("params", "minimize", cheap=True)
    return create(name, space, quality, [macs, params], "rmse", [MACS, raw], noise=2.0)


@family("nll")
def create_nll(name: str, seed: int) -> SpaceProblem:
    """10 switches and 4 ordered choices (640,000 points): negative log-likelihood below 0 against log MACs."""
    rng = np.random.default_rng(seed)
    switches = tuple(categorical(f"use{i}", False, True) for i in range(10))
    space = Space((*switches, *(ordinal(f"units{i}", 8, 16, 32, 64, 128) for i in range(4))))
    cost = additive_cost(space, rng, 1e4)
    quality = quality_of(space, cost, rng, rho=0.6, main=1.0, pairs=10, pair=0.7)
    return create(name, space, quality, [cost], "nll", [MACS])


@family("log_loss")
def create_log_loss(name: str, seed: int) -> SpaceProblem:
    """9 mixed choices as in tables of small networks: loss over three decades (log) against log parameters, noisy."""
    rng = np.random.default_rng(seed)
    space = Space(
        (
            categorical("act1", "relu", "tanh"),
            categorical("act2", "relu", "tanh"),
            ordinal("batch", 8, 16, 32, 64),
            ordinal("dropout1", 0.0, 0.3, 0.6),
            ordinal("dropout2", 0.0, 0.3, 0.6),
            ordinal("lr", 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
            categorical("schedule", "cosine", "const"),
            ordinal("units1", 16, 32, 64, 128, 256, 512),
            ordinal("units2", 16, 32, 64, 128, 256, 512),
        )
    )
    inputs = float(rng.integers(5, 400))
    first, second = (np.array(space.parameters[i].values, dtype=float) for i in (7, 8))

    def size(rows: Floats) -> Floats:
        a, b = first[rows[:, 7].astype(int)], second[rows[:, 8].astype(int)]
        return (inputs + 1) * a + (a + 1) * b + b + 1

    quality = quality_of(space, size, rng, rho=0.35, main=1.0, pairs=8, pair=0.8)
    return create(name, space, quality, [size], "log_loss", [PARAMS], noise=1.5)


@family("unsorted")
def create_unsorted(name: str, seed: int) -> SpaceProblem:
    """7 choices of numbers in any order (16,384 points), few of which cost anything: accuracy against log MACs, many ties."""
    rng = np.random.default_rng(seed)
    columns = [rng.permutation([16, 32, 64, 128]).tolist() for _ in range(7)]
    ranks = [np.argsort(np.argsort(column)) for column in columns]
    space = Space(tuple(ordinal(f"size{i}", *column) for i, column in enumerate(columns)))
    sorted_cost = additive_cost(space, rng, 1e6, share=0.4)

    def by_value(term: Term) -> Term:
        return lambda rows: term(np.stack([r[c.astype(int)] for r, c in zip(ranks, rows.T, strict=True)], axis=1))

    quality = quality_of(space, sorted_cost, rng, rho=0.6, main=1.0, pairs=6, pair=0.6)
    return create(name, space, by_value(quality), [by_value(sorted_cost)], "accuracy", [MACS], trained_first=False)


@family("noisy")
def create_noisy(name: str, seed: int) -> SpaceProblem:
    """8 mixed choices: accuracy with much noise (1.2 points from seed to seed) against log MACs."""
    rng = np.random.default_rng(seed)
    space = _mixed_space()
    cost = product_cost(space, rng, 1e7, 5.0)
    quality = quality_of(space, cost, rng, rho=0.6, main=1.0, pairs=6, pair=0.5)
    return create(name, space, quality, [cost], "accuracy", [MACS], noise=4.0)


@family("single")
def create_single(name: str, seed: int) -> SpaceProblem:
    """8 mixed choices: loss alone, with MACs as a feature."""
    rng = np.random.default_rng(seed)
    space = _mixed_space()
    cost = product_cost(space, rng, 1e7, 5.0)
    quality = quality_of(space, cost, rng, rho=0.4, main=1.0, pairs=8, pair=0.7)
    return create(name, space, quality, [cost], "loss", [], to_median=True)


@family("tiny")
def create_tiny(name: str, seed: int) -> SpaceProblem:
    """3 choices, 24 points: accuracy against log MACs."""
    rng = np.random.default_rng(seed)
    space = Space(
        (categorical("mixer", "a", "b", "c"), ordinal("width", 8, 16, 24, 32), categorical("skip", False, True))
    )
    cost = product_cost(space, rng, 1e6, 2.0)
    return create(name, space, quality_of(space, cost, rng, rho=0.5, main=1.0), [cost], "accuracy", [MACS])


@family("pairs20")
def create_pairs20(name: str, seed: int) -> SpaceProblem:
    """20 unordered choices of 4 (1.1e12 points) with 30 interacting pairs: accuracy against log MACs."""
    rng = np.random.default_rng(seed)
    space = Space(tuple(categorical(f"op{i}", "a", "b", "c", "d") for i in range(20)))
    cost = additive_cost(space, rng, 1e6)
    quality = quality_of(space, cost, rng, rho=0.7, main=1.0, pairs=30, pair=0.7)
    return create(name, space, quality, [cost], "accuracy", [MACS])
