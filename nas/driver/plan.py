"""What a study's configuration asks for, made: its sampler, its scheduler, and whether its limits can be kept at all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import optuna

from nas import objectives
from nas.driver.halving import Halving
from nas.driver.warm_start import PriorAccuracies
from nas.errors import ConfigError
from nas.objectives.costs import cost_value
from nas.study.config import StudyConfig
from nas.study.operator_table import OperatorTable
from nas.study.trials import within
from search_space import Architecture, SearchSpace

FEATURES = ("macs", "params")  # exact costs that tell something of accuracy
SURE = 1.5  # what is foreseen to break a limit by this factor is not proposed


def sampler_of(
    config: StudyConfig,
    space: SearchSpace,
    known: PriorAccuracies = (),
    tables: Mapping[str, OperatorTable] = MappingProxyType({}),
    begun: int = 0,
) -> optuna.samplers.BaseSampler:
    """The sampler that `config` names.

    Args:
        config: of the study.
        space: what it proposes from.
        known: what an earlier study found.
        tables: what foretells measured objectives and limits.
        begun: trials there are: going on, it must not draw the first ones again.
    """
    seed = config.seed + begun
    if config.sampler.name != "pareto":
        from nas.sampler import baselines as samplers

        return samplers.baseline(config.sampler.name, seed)
    from nas.sampler import ParetoSampler  # scipy takes its time

    names = config.objectives
    exact = {index: partial(_exact, name) for index, name in enumerate(names) if objectives.get(name).cheap}
    return ParetoSampler(
        space,
        exact,
        primary=names.index("accuracy"),
        features=[
            *(partial(_exact, name) for name in FEATURES if name not in names),
            *(partial(table.predict, objectives.get(name)) for name, table in tables.items()),
        ],
        feasible=partial(_may_do, limits=config.limits, tables=tables),
        limits={index: config.limits[name] for index, name in enumerate(names) if name in config.limits},
        budget=config.train.epochs,
        prior=[(space.encode(architecture), accuracy) for architecture, accuracy in known],
        attributes={index: name for index, name in enumerate(names) if objectives.get(name).source == "measured"},
        seed=seed,
    )


def _exact(name: str, architecture: Architecture) -> float:
    return cost_value(name, architecture)


def _may_do(architecture: Architecture, limits: Mapping[str, float], tables: Mapping[str, OperatorTable]) -> bool:
    """True unless `architecture` breaks one of `limits` for certain, or as good as certain by the operators' `tables`."""
    if not within(architecture, limits):
        return False
    for name in limits.keys() & tables.keys():
        objective = objectives.get(name)
        seen = tables[name].predict(objective, architecture)
        if objective.violates(seen * SURE if objective.direction == "maximize" else seen / SURE, limits[name]):
            return False
    return True


def halving_of(config: StudyConfig) -> Halving | None:
    """The rungs that `config` asks for; None without a scheduler."""
    scheduler, epochs = config.scheduler, config.train.epochs
    if scheduler.name == "none":
        return None
    first = scheduler.first_epochs or max(1, round(epochs / scheduler.reduction))
    return Halving.of(epochs, scheduler.reduction, first)


def check_limits(config: StudyConfig, space: SearchSpace) -> None:
    """Raise `ConfigError` if the exact costs of no architecture satisfy the limits."""
    for name, limit in config.limits.items():
        objective = objectives.get(name)
        if not objective.cheap:
            continue
        best = cost_value(name, cheapest(space, name, config.seed))
        if objective.violates(best, limit):
            rule = f"limits.{name}: no architecture of the space is that cheap; the cheapest found has {best:g}"
            raise ConfigError(config.where("limits", name), f"{rule}, found {limit:g}")


def cheapest(space: SearchSpace, name: str, seed: int) -> Architecture:
    """The architecture with the best exact cost `name`: by descent over neighbours from the best of a random sample."""
    sign = -1.0 if objectives.get(name).direction == "maximize" else 1.0

    def price(architecture: Architecture) -> float:
        return sign * cost_value(name, architecture)

    rng = np.random.default_rng(seed)
    best = min((space.sample(rng) for _ in range(64)), key=price)
    while True:
        neighbour = min(space.neighbours(best), key=price, default=best)
        if price(neighbour) >= price(best):
            return best
        best = neighbour
