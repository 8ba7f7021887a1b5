"""From the configuration of a study to its sampler, its rungs and the settings of its workers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import optuna

from nas import objectives, sampler as samplers
from nas.driver.front_measuring import FrontMeasuring
from nas.driver.front_promotion import FrontPromotion
from nas.driver.halving import Halving
from nas.driver.ladder import PromotionRule
from nas.driver.warm_start import PriorAccuracies
from nas.evaluation.settings import EvaluationSettings, MeasuringSettings
from nas.execution.resources import Allocation
from nas.objectives.costs import cost_value
from nas.sampler import SamplerContext, SamplerObjective
from nas.study.config import StudyConfig
from nas.study.inheritance import inherited_epochs
from nas.study.layout import REFERENCE
from nas.study.limits import may_satisfy_limits
from nas.study.operator_table import OperatorTable
from search_space import SearchSpace
from trainers.measuring.effort import default_batch_size

COST_FEATURES = ("macs", "params")  # costs that correlate with accuracy


def create_sampler(
    config: StudyConfig,
    space: SearchSpace,
    prior: PriorAccuracies = (),
    tables: Mapping[str, OperatorTable] = MappingProxyType({}),
    existing_trials: int = 0,
) -> optuna.samplers.BaseSampler:
    """Create the sampler that `config` names.

    Args:
        config: the configuration of the study.
        space: the search space.
        prior: architectures of an earlier study, and their accuracies.
        tables: measured objective -> the operator table that predicts it.
        existing_trials: number of trials that the study already has; a resumed study must not repeat its first random draws.
    """
    names = config.objectives
    context = SamplerContext(
        space,
        tuple(_sampler_objective(name, config) for name in names),
        primary=objectives.primary_index([objectives.get(name) for name in names]),
        features=(
            *(partial(cost_value, name) for name in COST_FEATURES if name not in names),
            *(partial(table.predict, objectives.get(name)) for name, table in tables.items()),
        ),
        feasible=partial(may_satisfy_limits, limits=config.limits, tables=tables),
        budget=config.train.epochs,
        prior=tuple((space.encode(architecture), accuracy) for architecture, accuracy in prior),
        key_attribute="id",
        infeasible_attribute="infeasible",
        seed=config.seed + existing_trials,
    )
    return samplers.create(config.sampler.name, context)


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


def create_halving(config: StudyConfig) -> Halving | None:
    """Create the rungs that `config` asks for; None without a scheduler."""
    scheduler, epochs = config.scheduler, config.train.epochs
    if scheduler.name == "none":
        return None
    first = scheduler.first_epochs or max(1, round(epochs / scheduler.reduction))
    return Halving.of(epochs, scheduler.reduction, first)


def create_promotion_rule(config: StudyConfig) -> PromotionRule | None:
    """Create the rungs of a study, by its scheduler or since its trials inherit weights; None if no training pauses."""
    if config.train.inherit == "none":
        return create_halving(config)
    return FrontPromotion((inherited_epochs(config.train.epochs), config.train.epochs))


def create_front_measuring(
    config: StudyConfig, measuring: MeasuringSettings, tables: Mapping[str, OperatorTable]
) -> FrontMeasuring | None:
    """Create what decides which trials are measured; None if all are, or nothing is measured."""
    if config.throughput.measure == "all" or not measuring.objectives:
        return None
    chosen = [objectives.get(name) for name in config.objectives]
    return FrontMeasuring(chosen, measuring.objectives, config.limits, tables)


def evaluation_settings(
    config: StudyConfig, folder: Path, data_file: Path, allocation: Allocation
) -> EvaluationSettings:
    """The settings that all trials of the study in `folder` share."""
    silence = config.resources.max_silence
    halving = create_halving(config)
    device = "cuda" if allocation.gpus > 0 else "cpu"
    measured = tuple(
        name for name in objectives.names("measured") if name in config.objectives or name in config.limits
    )
    measuring = MeasuringSettings(
        objectives=measured,
        limits={name: config.limits[name] for name in measured if name in config.limits},
        batch_size=config.throughput.batch_size or default_batch_size(device),
        reference_file=folder.resolve() / REFERENCE,
        **config.throughput.each_measurement,
    )
    return EvaluationSettings(
        data_file=data_file.resolve(),
        train=config.train.proxy,
        objectives=tuple(name for name in objectives.names("trained") if name in config.objectives),
        gpus=allocation.gpus,
        threads=config.resources.cpus_per_trial,
        memory_bytes=config.resources.memory_per_trial,
        max_silence_s=None if silence is None else silence.total_seconds(),
        measuring=measuring,
        rungs=() if halving is None else halving.rungs,
    )
