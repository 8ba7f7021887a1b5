"""The sampler of a study, from its configuration."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from statistics import median
from types import MappingProxyType

import optuna

from nas import objectives, sampler as samplers
from nas.formatting import number_text
from nas.objectives.costs import cost_value
from nas.sampler import SamplerContext, SamplerObjective
from nas.sampler.wording import Wording
from nas.study.config import StudyConfig
from nas.study.limits import may_satisfy_limits
from nas.study.operator_table import OperatorTable
from search_space import Architecture, SearchSpace

PriorAccuracies = tuple[tuple[Architecture, float], ...]
"""Architectures, and their accuracies in another study."""

COST_FEATURES = ("macs", "params")  # costs that correlate with accuracy
DURATION_COSTS = ("macs", "activation_bytes")  # costs that tell how long a training takes
SAMPLED_ARCHITECTURES = 64  # of which the medians of these are taken


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
        duration=duration_by_costs(space, DURATION_COSTS) if table is None else table.seconds,
        feasible=partial(may_satisfy_limits, limits=config.limits, tables=tables),
        budget=config.train.epochs,
        prior=tuple((space.encode(architecture), accuracy) for architecture, accuracy in prior),
        key_attribute="id",
        infeasible_attribute="infeasible",
        wording=_wording(config),
        seed=config.seed + existing_trials,
    )


def _wording(config: StudyConfig) -> Wording:
    """The words of a study, whose limits on costs and on predicted values decide what may be proposed."""
    limits = ", ".join(f"{name}: {number_text(limit)}" for name, limit in config.limits.items())
    rule = f"no architecture was found that satisfies the limits ({limits}) by its costs and predicted values"
    return Wording("architectures", rule)


def duration_by_costs(space: SearchSpace, names: Sequence[str]) -> Callable[[Architecture], float]:
    """The geometric mean of costs of an architecture, such as its MACs and the bytes that its training saves for the gradient.

    To each its median in `space` is added, for all that takes as long in every training. The time of some trainings follows the
    MACs, that of others memory (`tests/benchmarks/training_durations.py`). The medians are taken when they are first needed:
    samplers that know no durations do not ask.
    """

    @cache
    def medians() -> tuple[float, ...]:
        rng = random.Random(0)
        architectures = [space.sample(rng) for _ in range(SAMPLED_ARCHITECTURES)]
        return tuple(median(cost_value(name, architecture) for architecture in architectures) for name in names)

    def duration(architecture: Architecture) -> float:
        values = (cost_value(name, architecture) for name in names)
        return math.prod(map(operator.add, medians(), values)) ** (1 / len(names))

    return duration


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
