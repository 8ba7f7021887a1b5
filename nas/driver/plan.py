"""From the configuration of a study to its sampler and its rungs, and a check that its limits can be satisfied."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import optuna

from nas import objectives, sampler as samplers
from nas.driver.halving import Halving
from nas.driver.warm_start import PriorAccuracies
from nas.errors import ConfigError
from nas.objectives.costs import cost_value
from nas.sampler import SamplerContext, SamplerObjective
from nas.study.config import StudyConfig
from nas.study.operator_table import OperatorTable
from nas.study.trials import satisfies_limits
from search_space import Architecture, SearchSpace

COST_FEATURES = ("macs", "params")  # costs that correlate with accuracy
PREDICTION_MARGIN = 1.5  # an architecture is not proposed if its predicted value exceeds a limit by this factor


def create_sampler(
    config: StudyConfig,
    space: SearchSpace,
    prior: PriorAccuracies = (),
    tables: Mapping[str, OperatorTable] = MappingProxyType({}),
    num_trials: int = 0,
) -> optuna.samplers.BaseSampler:
    """Create the sampler that `config` names.

    Args:
        config: the configuration of the study.
        space: the search space.
        prior: architectures of an earlier study, and their accuracies.
        tables: measured objective -> the operator table that predicts it.
        num_trials: number of trials that the study already has; a resumed study must not repeat its first random draws.
    """
    names = config.objectives
    context = SamplerContext(
        space,
        tuple(_sampler_objective(name, config) for name in names),
        primary=names.index("accuracy"),
        features=(
            *(partial(_exact, name) for name in COST_FEATURES if name not in names),
            *(partial(table.predict, objectives.get(name)) for name, table in tables.items()),
        ),
        feasible=partial(_may_be_feasible, limits=config.limits, tables=tables),
        budget=config.train.epochs,
        prior=tuple((space.encode(architecture), accuracy) for architecture, accuracy in prior),
        seed=config.seed + num_trials,
    )
    return samplers.create(config.sampler.name, context)


def _sampler_objective(name: str, config: StudyConfig) -> SamplerObjective:
    """The description of the objective `name` for the sampler."""
    objective = objectives.get(name)
    return SamplerObjective(
        name,
        objective.direction,
        objective.log,
        compute=partial(_exact, name) if objective.source == "cost" else None,
        limit=config.limits.get(name),
        attribute=name if objective.source == "measured" else None,
    )


def _exact(name: str, architecture: Architecture) -> float:
    return cost_value(name, architecture)


def _may_be_feasible(
    architecture: Architecture, limits: Mapping[str, float], tables: Mapping[str, OperatorTable]
) -> bool:
    """False if the exact costs of `architecture` exceed a limit, or its predicted values exceed one by `PREDICTION_MARGIN`."""
    if not satisfies_limits(architecture, limits):
        return False
    for name in limits.keys() & tables.keys():
        objective = objectives.get(name)
        predicted = tables[name].predict(objective, architecture)
        margin = PREDICTION_MARGIN if objective.direction == "maximize" else 1 / PREDICTION_MARGIN
        if objective.violates(predicted * margin, limits[name]):
            return False
    return True


def create_halving(config: StudyConfig) -> Halving | None:
    """Create the rungs that `config` asks for; None without a scheduler."""
    scheduler, epochs = config.scheduler, config.train.epochs
    if scheduler.name == "none":
        return None
    first = scheduler.first_epochs or max(1, round(epochs / scheduler.reduction))
    return Halving.of(epochs, scheduler.reduction, first)


def check_limits(config: StudyConfig, space: SearchSpace) -> None:
    """Raise `ConfigError` if no architecture satisfies the limits on exact costs."""
    for name, limit in config.limits.items():
        objective = objectives.get(name)
        if not objective.cheap:
            continue
        best = cost_value(name, find_cheapest(space, name, config.seed))
        if objective.violates(best, limit):
            rule = f"limits.{name}: no architecture of the space is that cheap; the cheapest has {best:g}"
            raise ConfigError(config.where("limits", name), f"{rule}, found {limit:g}")


def find_cheapest(space: SearchSpace, name: str, seed: int) -> Architecture:
    """Find the architecture with the best exact cost `name`, by descent over neighbours from the best of a random sample."""
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
