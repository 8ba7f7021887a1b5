"""Networks of stages: 28 choices, 36^7 points, whose blocks count as a whole."""

from __future__ import annotations

import numpy as np

from search_suite.catalogue import family
from search_suite.families.products import MACS
from search_suite.problem import Response, SpaceProblem, objective
from search_suite.responses import MEASURES, Term, block_effects, main_effects, standardise, table_sum, weighted
from search_suite.space import Floats, Rng, Space, categorical, ordinal

STAGES = 7


def _space() -> Space:
    parameters = []
    for i in range(STAGES):
        parameters += [ordinal(f"expansion{i}", 1, 4, 6), ordinal(f"kernel{i}", 3, 5), ordinal(f"layers{i}", 1, 2, 3)]
        parameters.append(categorical(f"gate{i}", 0, 1))
    return Space(tuple(parameters))


def _macs(space: Space) -> Term:
    values = [np.array(parameter.values, dtype=float) for parameter in space.parameters]
    widths = [16, 24, 40, 80, 112, 192, 320]

    def macs(rows: Floats) -> Floats:
        levels = rows.astype(np.intp)
        total = np.full(len(rows), 1e7)
        for i, width in enumerate(widths):
            e, k, n, gate = (values[4 * i + j][levels[:, 4 * i + j]] for j in range(4))
            total += 2e4 * width * e * n * (10 + k**2) / (1 + i) * (1 + 0.1 * gate)
        return np.round(total)

    return macs


def _quality(space: Space, macs: Term, rng: Rng) -> Term:
    size = standardise(lambda rows: np.log(macs(rows)), space)
    main = standardise(main_effects(space, rng), space)
    blocks = standardise(block_effects(space, rng, 4), space)
    return standardise(weighted((0.8, size), (0.5, main), (0.35, blocks)), space)


@family("stages")
def create_stages(name: str, seed: int) -> SpaceProblem:
    """36^7 points: accuracy against log MACs."""
    rng = np.random.default_rng(seed)
    space, unit = _space(), MEASURES["accuracy"]
    macs = _macs(space)
    quality = _quality(space, macs, rng)
    response = Response(
        lambda rows: macs(rows)[:, None],
        lambda rows, costs: unit.of_quality(quality(rows))[:, None],
        lambda values, generator: np.array([unit.noisy(values[0], 1.0, generator)]),
    )
    return SpaceProblem(name, space, (unit.objective, MACS), response)


@family("stages_speed")
def create_stages_speed(name: str, seed: int) -> SpaceProblem:
    """36^7 points: accuracy against log MACs and measured throughput, which is no function of MACs."""
    rng = np.random.default_rng(seed)
    space, unit = _space(), MEASURES["share"]
    macs = _macs(space)
    quality = _quality(space, macs, rng)
    slowness = standardise(table_sum([rng.normal(0, 1, count) for count in space.counts]), space)

    def trained(rows: Floats, costs: Floats) -> Floats:
        speed = 1e9 * costs[:, 0] ** -0.75 * np.exp(-0.2 * slowness(rows))
        return np.stack([unit.of_quality(quality(rows)), speed], axis=1)

    def noisy(values: Floats, generator: Rng) -> Floats:
        return np.array([unit.noisy(values[0], 1.0, generator), values[1] * np.exp(0.01 * generator.normal())])

    speed = objective("images_per_s", "maximize", log=True)
    response = Response(lambda rows: macs(rows)[:, None], trained, noisy)
    return SpaceProblem(name, space, (unit.objective, MACS, speed), response)
