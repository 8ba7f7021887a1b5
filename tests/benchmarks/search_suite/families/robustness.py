"""Accuracy on clean and on corrupted images: two noisy trained objectives of which neither says all of the other."""

from __future__ import annotations

import numpy as np

from search_suite.catalogue import family
from search_suite.families.products import MACS, quality_of
from search_suite.problem import Response, SpaceProblem, objective
from search_suite.responses import MEASURES, Measure, product_cost, standardise, weighted
from search_suite.space import Floats, Rng, Space, categorical, ordinal

ROBUSTNESS = Measure(
    objective("robustness", "maximize"), lambda q: np.clip(60 - 25 * np.exp(-0.4 * q), 5, None), scale=0.4
)
NOISE = 1.5


def _space() -> Space:
    return Space(
        (
            categorical("mixer", "conv", "attention", "pool", "lambda", "shift"),
            categorical("norm", "batch", "layer", "none"),
            categorical("act", "relu", "gelu", "silu"),
            ordinal("kernel", 3, 5, 7, 9),
            ordinal("width", 16, 24, 32, 48, 64, 96),
            ordinal("depth", 1, 2, 3, 4),
            ordinal("expansion", 1, 2, 3, 4),
            ordinal("stem", 1, 2, 4),
        )
    )


def _create(name: str, seed: int, *, shared: float, pairs: int, pair: float, with_macs: bool) -> SpaceProblem:
    """Robustness has the share `shared` of what decides accuracy; below 0 it wants the opposite."""
    rng = np.random.default_rng(seed)
    space, units = _space(), (MEASURES["accuracy"], ROBUSTNESS)
    macs = product_cost(space, rng, 1e7, 4.5)
    clean = quality_of(space, macs, rng, rho=0.6, main=1.0, pairs=pairs, pair=pair)
    own = quality_of(space, macs, rng, rho=0.1, main=1.0, pairs=pairs, pair=pair)
    qualities = (clean, standardise(weighted((shared, clean), (0.9, own)), space))

    def trained(rows: Floats, costs: Floats) -> Floats:
        return np.stack([unit.of_quality(q(rows)) for unit, q in zip(units, qualities, strict=True)], axis=1)

    def noisy(values: Floats, generator: Rng) -> Floats:
        return np.array([unit.noisy(value, NOISE, generator) for unit, value in zip(units, values, strict=True)])

    def costs(rows: Floats) -> Floats:
        return macs(rows)[:, None]

    objectives = tuple(unit.objective for unit in units)
    response = Response(costs, trained, noisy)
    if with_macs:
        return SpaceProblem(name, space, (*objectives, MACS), response)
    return SpaceProblem(name, space, objectives, response, features=1)


@family("robustness")
def create_robustness(name: str, seed: int) -> SpaceProblem:
    """51,840 points with interactions: accuracy and robustness, both trained and noisy, against log MACs."""
    return _create(name, seed, shared=0.4, pairs=8, pair=0.8, with_macs=True)


@family("robustness_only")
def create_robustness_only(name: str, seed: int) -> SpaceProblem:
    """51,840 points, smooth: accuracy against robustness, at odds with it, both trained and noisy; MACs as a feature."""
    return _create(name, seed, shared=-0.4, pairs=4, pair=0.4, with_macs=False)
