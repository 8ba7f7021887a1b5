"""From the configuration of a study to its rungs and the settings of its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from nas import objectives
from nas.driver.front_measuring import FrontMeasuring
from nas.driver.front_time import FrontTime
from nas.driver.rungs.promotion import FrontPromotion, Halving, PromotionRule
from nas.evaluation.settings import EvaluationSettings, MeasuringSettings
from nas.execution.interrupts import Interrupts
from nas.execution.resources import Allocation
from nas.study.config import StudyConfig
from nas.study.layout import REFERENCE
from nas.study.operator_table import OperatorTable
from nas.study.outcomes.inheritance import inherited_epochs
from nas.study.trials import AnyTrial
from trainers.measuring.effort import default_batch_size


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
    return FrontPromotion(_inheriting_rungs(config))


def _inheriting_rungs(config: StudyConfig) -> tuple[int, int]:
    """The epochs of an inherited training, and those of a whole one."""
    return inherited_epochs(config.train.epochs), config.train.epochs


def create_front_time(
    config: StudyConfig,
    workers: int,
    interrupts: Interrupts,
    show: Callable[[str], None],
    trials: Iterable[AnyTrial],
) -> FrontTime | None:
    """Create what keeps time for training the front from scratch; None if no trial inherits weights, or time is not limited."""
    if config.train.inherit == "none" or config.time_budget is None:
        return None
    return FrontTime(_inheriting_rungs(config), workers, lambda: interrupts.remaining_s, show, trials)


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
