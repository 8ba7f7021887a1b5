"""The reliability of throughput measurements: the same networks are measured repeatedly while trainings run.

Each network is measured once per round, in a different order in each round. Agreement between rounds is due to the networks,
disagreement to the machine. Three ways to measure are compared:

    exclusive   trainings pause, and times are relative to a reference network, as in a study
    paused      trainings pause; times are wall-clock times
    beside      trainings run on; times are wall-clock times

The throughput predicted from a table of timed operators is compared with the exclusive measurements.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.analysis import statistics as st
from nas.analysis.prediction_quality import factor_and_error
from nas.analysis.statistics import Floats
from nas.bench.busy_device import create_operator_table, run_trainings, time_networks
from nas.bench.throughput_plan import ThroughputPlan, sample_architectures
from nas.models.device_option import check_device
from nas.objectives import get
from nas.study.operator_table import OperatorTable
from search_space import Architecture, SearchSpace

WAYS = ("exclusive", "paused", "beside")
RESAMPLES = 1000


@dataclass(frozen=True)
class RepeatedMeasurements:
    """The measurements in all ways.

    Args:
        architectures: the measured architectures, in the order of the columns.
        images_per_s: way -> throughput in images per second, `(rounds, sample)`.
        seconds: way -> duration of each measurement in seconds, `(rounds, sample)`.
        predicted: throughput predicted from a table of operators, in images per second, `(sample,)`; None: no table.
        operators: number of operators in that table.
    """

    architectures: tuple[Architecture, ...]
    images_per_s: dict[str, Floats]
    seconds: dict[str, Floats]
    predicted: Floats | None = None
    operators: int = 0


def measure(
    space: SearchSpace, plan: ThroughputPlan, advance: Callable[[], None] = lambda: None
) -> RepeatedMeasurements:
    """Measure a sample of `space` in all ways; calls `advance` after each measurement.

    Raises:
        UsageError: there is no such device, or the space has too few architectures.
        StudyError: a training could not start.
    """
    check_device(plan.device)
    architectures = sample_architectures(space, plan.sample, plan.seed)
    shape = (plan.rounds, plan.sample)
    images_per_s = {way: np.full(shape, np.nan) for way in WAYS}
    seconds = {way: np.full(shape, np.nan) for way in WAYS}
    table: OperatorTable | None = None
    for trainings_pause in (True, False):
        with run_trainings(space, plan.device, plan.beside, plan.threads, trainings_pause):
            if trainings_pause:
                table = create_operator_table(space, plan)
            for index, throughput, drift, wall_s in time_networks(architectures, plan, trainings_pause):
                if trainings_pause:
                    images_per_s["exclusive"][index], images_per_s["paused"][index] = throughput, throughput / drift
                    seconds["exclusive"][index] = seconds["paused"][index] = wall_s
                else:
                    images_per_s["beside"][index], seconds["beside"][index] = throughput / drift, wall_s
                advance()
    if table is None:
        return RepeatedMeasurements(architectures, images_per_s, seconds)
    predicted = np.array([table.predict(get("images_per_s"), architecture) for architecture in architectures])
    return RepeatedMeasurements(architectures, images_per_s, seconds, predicted, len(table.times))


def agreement(images_per_s: Floats, seed: int = 0) -> st.Estimate:
    """Kendall's tau between rounds of `images_per_s`, `(rounds, sample)`: the mean over pairs, with a bootstrap interval."""
    weights = st.bootstrap_weights(RESAMPLES, images_per_s.shape[1], seed)
    return st.Estimate.of(st.mean_correlation(st.row_pairs(images_per_s), weights, st.kendall))


def median_difference(images_per_s: Floats) -> float:
    """The median relative difference between two rounds of `images_per_s`, `(rounds, sample)`."""
    log_rounds = np.log(images_per_s)
    return float(np.median([np.abs(a - b) for a, b in itertools.combinations(log_rounds, 2)]))


def prediction_record(measured: RepeatedMeasurements) -> dict[str, Any] | None:
    """The agreement of predictions with exclusive measurements (geometric mean over rounds); None without a table."""
    if measured.predicted is None:
        return None
    reference = np.exp(np.log(measured.images_per_s["exclusive"]).mean(axis=0))
    ratio, error = factor_and_error(measured.predicted, reference)
    return {
        "kendall_tau": agreement(np.stack([measured.predicted, reference])).to_dict(),
        "ratio": ratio,
        "median_error": error,
        "operators": measured.operators,
    }


def record(measured: RepeatedMeasurements, plan: ThroughputPlan) -> dict[str, Any]:
    """The measurements and their agreement as plain JSON."""
    return {
        "sample": plan.sample,
        "rounds": plan.rounds,
        "beside": plan.beside,
        "threads": plan.threads,
        "batch_size": plan.images,
        "device": plan.device,
        "ways": {
            way: {
                "kendall_tau": agreement(measured.images_per_s[way]).to_dict(),
                "median_difference": median_difference(measured.images_per_s[way]),
                "seconds_a_measurement": float(np.median(measured.seconds[way])),
            }
            for way in WAYS
        },
        "predicted": prediction_record(measured),
        "architectures": [
            {
                "id": architecture.id,
                **({} if measured.predicted is None else {"predicted": float(measured.predicted[i])}),
                **{way: measured.images_per_s[way][:, i].tolist() for way in WAYS},
            }
            for i, architecture in enumerate(measured.architectures)
        ],
    }
