"""What a study's configuration asks for, made: its sampler, its scheduler, and whether its limits can be kept at all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import optuna

from nas import objectives, sampler as samplers
from nas.driver import warm_start
from nas.driver.halving import Halving
from nas.errors import ConfigError
from nas.sampler import SamplerContext, SamplerObjective
from nas.study import config as configs
from nas.study.operator_table import OperatorTable
from nas.study.study_file import StudyFile
from nas.study.trials import COSTS, costs_of, within
from search_space import Architecture, SearchSpace

FEATURES = ("macs", "params")  # exact costs that tell something of accuracy
SURE = 1.5  # what is foreseen to break a limit by this factor is not proposed


def sampler_of(
    config: configs.StudyConfig,
    space: SearchSpace,
    known: warm_start.Known = (),
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
    names = config.objectives
    context = SamplerContext(
        space,
        tuple(_sampler_objective(name, config) for name in names),
        primary=names.index("accuracy"),
        features=(
            *(partial(_exact, name) for name in FEATURES if name not in names),
            *(getattr(table, name) for name, table in tables.items()),
        ),
        feasible=partial(_may_do, limits=config.limits, tables=tables),
        budget=config.train.epochs,
        prior=tuple((space.encode(architecture), accuracy) for architecture, accuracy in known),
        seed=config.seed + begun,
    )
    return samplers.create(config.sampler.name, context)


def _sampler_objective(name: str, config: configs.StudyConfig) -> SamplerObjective:
    """What the sampler is told of the objective `name`."""
    objective = objectives.get(name)
    exact = name in COSTS
    return SamplerObjective(
        name,
        objective.direction,
        objective.log,
        compute=partial(_exact, name) if exact else None,
        limit=config.limits.get(name),
        attribute=None if exact or name == "accuracy" else name,
    )


def _exact(name: str, architecture: Architecture) -> float:
    return float(getattr(costs_of(architecture), name))


def _may_do(architecture: Architecture, limits: Mapping[str, float], tables: Mapping[str, OperatorTable]) -> bool:
    """True unless `architecture` breaks one of `limits` for certain, or as good as certain by the operators' `tables`."""
    if not within(architecture, limits):
        return False
    for name in limits.keys() & tables.keys():
        objective, seen = objectives.get(name), getattr(tables[name], name)(architecture)
        if objective.misses(seen * SURE if objective.direction == "maximize" else seen / SURE, limits[name]):
            return False
    return True


def halving_of(config: configs.StudyConfig) -> Halving | None:
    """The rungs that `config` asks for; None without a scheduler."""
    scheduler, epochs = config.scheduler, config.train.epochs
    if scheduler.name == "none":
        return None
    first = scheduler.first_epochs or max(1, round(epochs / scheduler.reduction))
    return Halving.of(epochs, scheduler.reduction, first)


def check_limits(config: configs.StudyConfig, file: StudyFile, space: SearchSpace) -> None:
    """Raise `ConfigError` if the exact costs of no architecture keep the limits."""
    for name, limit in config.limits.items():
        if name not in COSTS:
            continue
        least = getattr(costs_of(cheapest(space, name, config.seed)), name)
        if least > limit:
            where = file.where(("limits", name))
            rule = f"limits.{name}: no architecture of the space is that cheap; the cheapest found has {least}"
            raise ConfigError(where, f"{rule}, found {limit:g}")


def cheapest(space: SearchSpace, name: str, seed: int) -> Architecture:
    """The architecture of least `name` (macs, params): by descent over neighbours from the best of a random sample."""

    def price(architecture: Architecture) -> int:
        return int(getattr(costs_of(architecture), name))

    rng = np.random.default_rng(seed)
    best = min((space.sample(rng) for _ in range(64)), key=price)
    while True:
        neighbour = min(space.neighbours(best), key=price, default=best)
        if price(neighbour) >= price(best):
            return best
        best = neighbour
