"""Define-by-run spaces: which parameters a point has depends on others. A sampler is told no space; it sees what is suggested."""

from __future__ import annotations

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_suite.catalogue import family
from search_suite.families.products import MACS, create, quality_of
from search_suite.problem import SpaceProblem, objective
from search_suite.responses import additive_cost, standardise, weighted
from search_suite.space import Floats, Parameter, Space, categorical


@family("conditional")
def create_conditional(name: str, seed: int) -> SpaceProblem:
    """One to three stages, each with a mixer that has its own options (define-by-run): accuracy against log MACs."""
    rng = np.random.default_rng(seed)
    parameters: list[Parameter] = [Parameter("stages", IntDistribution(1, 3), ordered=True)]
    for i in range(3):
        stage = (0, tuple(range(i, 3)))
        mixer = len(parameters)
        parameters.append(Parameter(f"mixer{i}", CategoricalDistribution(("conv", "attention", "pool")), False, *stage))
        parameters.append(Parameter(f"kernel{i}", CategoricalDistribution((3, 5, 7)), True, mixer, (0,)))
        parameters.append(Parameter(f"heads{i}", CategoricalDistribution((1, 2, 4)), True, mixer, (1,)))
        parameters.append(Parameter(f"width{i}", IntDistribution(16, 64, step=16), True, *stage))
        parameters.append(Parameter(f"depth{i}", IntDistribution(1, 3), True, *stage))
    space = Space(tuple(parameters))
    cost = additive_cost(space, rng, 1e6)
    quality = quality_of(space, cost, rng, rho=0.7, main=1.0, pairs=6, pair=0.5)
    return create(name, space, quality, [cost], "accuracy", [MACS])


@family("floats")
def create_floats(name: str, seed: int) -> SpaceProblem:
    """3 floats (two of them logarithmic), 2 integers and 2 categories: loss with noise against raw parameters."""
    rng = np.random.default_rng(seed)
    space = Space(
        (
            Parameter("lr", FloatDistribution(1e-5, 1e-1, log=True), ordered=True),
            Parameter("weight_decay", FloatDistribution(1e-6, 1e-1, log=True), ordered=True),
            Parameter("dropout", FloatDistribution(0.0, 0.7), ordered=True),
            Parameter("layers", IntDistribution(1, 6), ordered=True),
            Parameter("width", IntDistribution(16, 256, step=16), ordered=True),
            categorical("optimizer", "sgd", "adam", "lamb"),
            categorical("act", "relu", "gelu"),
        )
    )
    best_lr, offset = rng.uniform(0.4, 0.7), rng.normal(0, 0.12, 3)
    act = rng.normal(0, 0.2, 2)

    def params(rows: Floats) -> Floats:
        width = 16.0 * (1 + rows[:, 4])
        return np.round(100 * width + (1 + rows[:, 3]) * width**2)

    def settings(rows: Floats) -> Floats:
        optimizer = rows[:, 5].astype(int)
        lr = -18 * (rows[:, 0] - best_lr - offset[optimizer] + 0.03 * rows[:, 3]) ** 2
        decay = -2 * (rows[:, 1] - 0.5 - 0.2 * rows[:, 2]) ** 2
        dropout = -3 * (rows[:, 2] - 0.03 * rows[:, 4]) ** 2
        return lr + decay + dropout + act[rows[:, 6].astype(int)]

    size = standardise(lambda rows: np.log(params(rows)), space)
    quality = standardise(weighted((0.6, size), (0.8, standardise(settings, space))), space)
    raw = objective("params", "minimize", cheap=True)
    return create(name, space, quality, [params], "loss", [raw])
