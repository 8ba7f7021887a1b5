"""Graph networks: five choices of nine values, whose latency is measured."""

from __future__ import annotations

import numpy as np

from search_suite.catalogue import family
from search_suite.problem import Response, SpaceProblem, objective
from search_suite.responses import MEASURES, main_effects, pair_effects, random_pairs, standardise, weighted
from search_suite.space import Floats, Rng, Space, categorical

OPERATORS = ("gcn", "gat", "gin", "sage", "cheb", "arma", "graph", "linear", "skip")


@family("graphs")
def create_graphs(name: str, seed: int) -> SpaceProblem:
    """5 unordered choices of 9 (59,049 points): accuracy against log latency, of which nothing is known before."""
    rng = np.random.default_rng(seed)
    space, unit = Space(tuple(categorical(f"layer{i}", *OPERATORS) for i in range(5))), MEASURES["accuracy"]
    times = np.exp(rng.normal(0, 0.8, len(OPERATORS)))
    times[-1] = 0.05
    gain = rng.normal(0, 1, len(OPERATORS)) + 0.6 * np.log(times)
    alike = standardise(lambda rows: gain[rows.astype(int)].sum(axis=1), space)  # the same operators help everywhere
    own = standardise(main_effects(space, rng), space)
    pairs = standardise(pair_effects(space, rng, random_pairs(space, rng, 6)), space)
    quality = standardise(weighted((0.8, alike), (0.4, own), (0.45, pairs)), space)

    def trained(rows: Floats, costs: Floats) -> Floats:
        latency = 0.002 + 0.004 * times[rows.astype(int)].sum(axis=1)
        return np.stack([unit.of_quality(quality(rows)), latency], axis=1)

    def noisy(values: Floats, generator: Rng) -> Floats:
        return np.array([unit.noisy(values[0], 1.0, generator), values[1] * np.exp(0.02 * generator.normal())])

    response = Response(lambda rows: np.empty((len(rows), 0)), trained, noisy)
    return SpaceProblem(name, space, (unit.objective, objective("latency_s", "minimize", log=True)), response)
