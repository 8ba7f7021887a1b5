"""The sampler of a study, from its configuration."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache, partial
from statistics import median
from types import MappingProxyType

import optuna

from nas import objectives, sampler as samplers
from nas.objectives.costs import cost_value
from nas.sampler import SamplerContext, SamplerObjective
from nas.study.config import StudyConfig
from nas.study.limits import may_satisfy_limits
from nas.study.operator_table import OperatorTable
from search_space import Architecture, SearchSpace

PriorAccuracies = tuple[tuple[Architecture, float], ...]
"""Architectures, and their accuracies in another study."""

COST_FEATURES = ("macs", "params")  # costs that correlate with accuracy
SAMPLED_ARCHITECTURES = 64  # of which the median MACs are taken


def create_sampler(
    config: StudyConfig,
    space: SearchSpace,
    prior: PriorAccuracies = (),
    tables: Mapping[str, OperatorTable] = MappingProxyType({}),
    existing_trials: int = 0,
) -> optuna.samplers.BaseSampler:
    """Create the sampler that `config` names; the arguments are those of `sampler_context`."""
    return samplers.create(config.sampler.name, sampler_context(config, space, prior, tables, existing_trials))


def sampler_context(
    config: StudyConfig,
    space: SearchSpace,
    prior: PriorAccuracies = (),
    tables: Mapping[str, OperatorTable] = MappingProxyType({}),
    existing_trials: int = 0,
) -> SamplerContext:
    """What the sampler of a study is told.

    Args:
        config: the configuration of the study.
        space: the search space.
        prior: architectures of an earlier study, and their accuracies.
        tables: measured objective -> the operator table that predicts it.
        existing_trials: number of trials that the study already has; a resumed study must not repeat its first random draws.
    """
    names = config.objectives
    table = next(iter(tables.values()), None)  # of several, any: training takes as long as the passes that it predicts
    return SamplerContext(
        space,
        tuple(_sampler_objective(name, config) for name in names),
        primary=objectives.primary_index([objectives.get(name) for name in names]),
        features=(
            *(partial(cost_value, name) for name in COST_FEATURES if name not in names),
            *(partial(table.predict, objectives.get(name)) for name, table in tables.items()),
        ),
        duration=_duration_by_macs(space) if table is None else table.seconds,
        feasible=partial(may_satisfy_limits, limits=config.limits, tables=tables),
        budget=config.train.epochs,
        prior=tuple((space.encode(architecture), accuracy) for architecture, accuracy in prior),
        key_attribute="id",
        infeasible_attribute="infeasible",
        seed=config.seed + existing_trials,
    )


def _duration_by_macs(space: SearchSpace) -> Callable[[Architecture], float]:
    """The MACs of an architecture, and once more those of the median one of `space` for all that does not depend on MACs.

    The median is taken when it is first needed: samplers that know no durations do not ask.
    """

    @cache
    def overhead() -> float:
        rng = random.Random(0)
        return median(cost_value("macs", space.sample(rng)) for _ in range(SAMPLED_ARCHITECTURES))

    return lambda architecture: overhead() + cost_value("macs", architecture)


def _sampler_objective(name: str, config: StudyConfig) -> SamplerObjective:
    """The description of the objective `name` for the sampler."""
    objective = objectives.get(name)
    return SamplerObjective(
        name,
        objective.direction,
        objective.log,
        compute=partial(cost_value, name) if objective.source == "cost" else None,
        limit=config.limits.get(name),
        attribute=None if objective.source == "trained" else name,
    )
