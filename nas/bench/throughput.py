"""How far a throughput figure can be trusted: the same networks measured again, with trainings beside them.

Each network is measured once in each round, the networks in another order in each. What agrees between rounds is due to
the networks; what does not is due to the machine. Three ways are compared:

    exclusive   as a study measures: trainings pause, passes are divided by those of a reference network
    paused      trainings pause; the clock alone
    beside      trainings go on; the clock alone

What a table of operators, timed before, predicts is compared with the figures of the first way.
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
from nas.bench.busy_device import check_device, predict_throughput, run_trainings, time_networks
from nas.bench.throughput_plan import ThroughputPlan, sample_architectures
from nas.objectives import get
from nas.study.operator_table import OperatorTable
from search_space import Architecture, SearchSpace

WAYS = ("exclusive", "paused", "beside")
RESAMPLES = 1000


@dataclass(frozen=True)
class RepeatedMeasurements:
    """The measurements of all ways.

    Args:
        architectures: in the order of the columns.
        images_per_s: way -> `(rounds, sample)`.
        seconds: that each measurement took, way -> `(rounds, sample)`.
        predicted: images per second that a table of operators predicted, `(sample,)`; None without one.
        operators: the number of operators that were timed for it.
    """

    architectures: tuple[Architecture, ...]
    images_per_s: dict[str, Floats]
    seconds: dict[str, Floats]
    predicted: Floats | None = None
    operators: int = 0


def measure(
    space: SearchSpace, plan: ThroughputPlan, advance: Callable[[], None] = lambda: None
) -> RepeatedMeasurements:
    """Measure a sample of `space` in all ways; `advance` is called after each measurement.

    Raises:
        UsageError: there is no such device, or the space has too few architectures.
        StudyError: a training beside the measurements could not start.
    """
    check_device(plan.device)
    architectures = sample_architectures(space, plan.sample, plan.seed)
    shape = (plan.rounds, plan.sample)
    speeds = {way: np.full(shape, np.nan) for way in WAYS}
    seconds = {way: np.full(shape, np.nan) for way in WAYS}
    table: OperatorTable | None = None
    for trainings_pause in (True, False):
        with run_trainings(space, plan.device, plan.beside, plan.threads, trainings_pause):
            if trainings_pause:
                table = predict_throughput(space, plan)
            for place, speed, drift, spent_s in time_networks(architectures, plan, trainings_pause):
                if trainings_pause:
                    speeds["exclusive"][place], speeds["paused"][place] = speed, speed / drift
                    seconds["exclusive"][place] = seconds["paused"][place] = spent_s
                else:
                    speeds["beside"][place], seconds["beside"][place] = speed / drift, spent_s
                advance()
    if table is None:
        return RepeatedMeasurements(architectures, speeds, seconds)
    predicted = np.array([table.predict(get("images_per_s"), architecture) for architecture in architectures])
    return RepeatedMeasurements(architectures, speeds, seconds, predicted, len(table.times))


def agreement(images_per_s: Floats, seed: int = 0) -> st.Estimate:
    """Kendall's tau between rounds, `(rounds, sample)`, the mean over pairs of rounds, with a bootstrap interval."""
    weights = st.bootstrap_weights(RESAMPLES, images_per_s.shape[1], seed)
    return st.Estimate.of(st.mean_correlation(st.row_pairs(images_per_s), weights, st.kendall))


def median_difference(images_per_s: Floats) -> float:
    """The median relative difference between two rounds, `(rounds, sample)`."""
    logs = np.log(images_per_s)
    return float(np.median([np.abs(a - b) for a, b in itertools.combinations(logs, 2)]))


def prediction_record(measured: RepeatedMeasurements, seed: int = 0) -> dict[str, Any] | None:
    """How predictions compare with measurements, the geometric mean over rounds; None without a table."""
    if measured.predicted is None:
        return None
    truth = np.exp(np.log(measured.images_per_s["exclusive"]).mean(axis=0))
    ratio, error = factor_and_error(measured.predicted, truth)
    return {
        "kendall_tau": agreement(np.stack([measured.predicted, truth]), seed).to_dict(),
        "ratio": ratio,
        "median_error": error,
        "operators": measured.operators,
    }


def record(measured: RepeatedMeasurements, plan: ThroughputPlan) -> dict[str, Any]:
    """All figures as plain JSON."""
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
