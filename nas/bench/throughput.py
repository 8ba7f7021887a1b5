"""How far a throughput figure can be believed: the same networks measured again, with trainings beside them.

Each network is measured once in each round, the networks in an order of each round's own. What agrees between rounds is the
networks'; what does not is the machine's. Three ways are compared:

    exclusive   as a study measures: the trainings stand still, passes are divided by those of a reference network
    paused      the trainings stand still; the clock alone
    beside      the trainings go on; the clock alone

And what a table of operators, timed before, foretells of them is compared with the figures of the first way.
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
from nas.errors import UsageError
from nas.evaluation.settings import BATCH
from nas.study.operator_table import OperatorTable
from search_space import Architecture, SearchSpace

WAYS = ("exclusive", "paused", "beside")
RESAMPLES = 1000


@dataclass(frozen=True)
class Wanted:
    """What to measure.

    Args:
        sample: architectures.
        rounds: measurements of each.
        beside: trainings beside them.
        threads: of each training and of the measurements, on a CPU.
        batch_size: images a pass; by default those of a study on that device.
        device: "cpu" or "cuda".
        seed: of the sample and the order.
        operators_s: seconds for a table of operators; 0: none.
    """

    sample: int = 40
    rounds: int = 2
    beside: int = 2
    threads: int = 1
    batch_size: int | None = None
    device: str = "cpu"
    seed: int = 0
    operators_s: float = 30.0

    @property
    def images(self) -> int:
        """Of a pass."""
        return self.batch_size or BATCH.get(self.device.partition(":")[0], BATCH["cpu"])


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Args:
        architectures: in the order of the columns.
        images_per_s: way -> `(rounds, sample)`.
        seconds: that each measurement took, way -> `(rounds, sample)`.
        predicted: images per second that a table of operators foretold, `(sample,)`; None without one.
        operators: that were timed for it.
    """

    architectures: tuple[Architecture, ...]
    images_per_s: dict[str, Floats]
    seconds: dict[str, Floats]
    predicted: Floats | None = None
    operators: int = 0


def sampled(space: SearchSpace, count: int, seed: int) -> tuple[Architecture, ...]:
    """`count` different random architectures of `space`.

    Raises:
        UsageError: the space has fewer.
    """
    if space.size < count:
        raise UsageError(f"--sample {count}: the space has {space.size} architectures")
    rng = np.random.default_rng(seed)
    found: dict[str, Architecture] = {}
    while len(found) < count:
        architecture = space.sample(rng)
        found[architecture.id] = architecture
    return tuple(found.values())


def measure(space: SearchSpace, wanted: Wanted, advance: Callable[[], None] = lambda: None) -> Measured:
    """Measure a sample of `space` in all ways; `advance` is called after each measurement.

    Raises:
        UsageError: there is no such device, or the space has too few architectures.
        StudyError: a training beside the measurements could not begin.
    """
    from nas.bench.busy_device import check_device, foretelling, timings, trainings

    check_device(wanted.device)
    architectures = sampled(space, wanted.sample, wanted.seed)
    shape = (wanted.rounds, wanted.sample)
    found = {way: np.full(shape, np.nan) for way in WAYS}
    seconds = {way: np.full(shape, np.nan) for way in WAYS}
    table: OperatorTable | None = None
    for yielding in (True, False):
        with trainings(space, wanted.device, wanted.beside, wanted.threads, yielding):
            if yielding:
                table = foretelling(space, wanted)
            for place, speed, drift, spent in timings(architectures, wanted, yielding):
                if yielding:
                    found["exclusive"][place], found["paused"][place] = speed, speed / drift
                    seconds["exclusive"][place] = seconds["paused"][place] = spent
                else:
                    found["beside"][place], seconds["beside"][place] = speed / drift, spent
                advance()
    if table is None:
        return Measured(architectures, found, seconds)
    predicted = np.array([table.images_per_s(architecture) for architecture in architectures])
    return Measured(architectures, found, seconds, predicted, len(table.entries))


def agreement(images_per_s: Floats, seed: int = 0) -> st.Estimate:
    """Kendall's tau between rounds, `(rounds, sample)`, the mean over pairs of rounds, with a bootstrap interval."""
    weights = st.bootstrap_weights(RESAMPLES, images_per_s.shape[1], seed)
    return st.Estimate.of(st.mean_correlation(st.row_pairs(images_per_s), weights, st.kendall))


def difference(images_per_s: Floats) -> float:
    """The median relative difference between two rounds, `(rounds, sample)`."""
    logs = np.log(images_per_s)
    return float(np.median([np.abs(a - b) for a, b in itertools.combinations(logs, 2)]))


def foretold(measured: Measured, seed: int = 0) -> dict[str, Any] | None:
    """How what the operators foretold compares with what was measured, the rounds' geometric mean; None without a table."""
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


def record(measured: Measured, wanted: Wanted) -> dict[str, Any]:
    """All figures as plain JSON."""
    return {
        "sample": wanted.sample,
        "rounds": wanted.rounds,
        "beside": wanted.beside,
        "threads": wanted.threads,
        "batch_size": wanted.images,
        "device": wanted.device,
        "ways": {
            way: {
                "kendall_tau": agreement(measured.images_per_s[way]).to_dict(),
                "median_difference": difference(measured.images_per_s[way]),
                "seconds_a_measurement": float(np.median(measured.seconds[way])),
            }
            for way in WAYS
        },
        "predicted": foretold(measured),
        "architectures": [
            {
                "id": architecture.id,
                **({} if measured.predicted is None else {"predicted": float(measured.predicted[i])}),
                **{way: measured.images_per_s[way][:, i].tolist() for way in WAYS},
            }
            for i, architecture in enumerate(measured.architectures)
        ],
    }
