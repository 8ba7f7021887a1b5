"""Throughput and latency of an architecture predicted before it is built: the sum of the times of its operators.

A space of millions of architectures has a few hundred operators (`search_space.operators`). They are timed one by one at the
start of a study, within a time budget, those with the largest share of the work first. The time of an operator that was not
timed is estimated from others of its family: a non-negative number of seconds per MAC, Fourier operation, element and parameter.

Effects between operators, such as maps that stay in the caches, are not in the sum. The sampler learns them from measurements
of whole networks, since a prediction is one feature of its model. Needs no torch.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas import objectives
from nas.objectives import Objective
from search_space import Architecture, SearchSpace
from search_space.operators import Operator, operators, operators_by_part
from trainers.files import atomic_write
from trainers.input_files import read_json

Floats = NDArray[np.float64]

SAMPLED_ARCHITECTURES = 1000  # random architectures whose operators are timed
TRAITS = 5  # features of an operator (`time_features`)
MIN_TIMED_PER_FAMILY = 4  # operators timed first in each family: the cheapest, the most expensive, two between


def predicted_objectives() -> tuple[str, ...]:
    """The names of the objectives that operator times predict."""
    return tuple(name for name in objectives.names("measured") if objectives.get(name).from_seconds is not None)


@dataclass(frozen=True)
class OperatorTime:
    """A timed operator.

    Args:
        family: `Operator.family`.
        kind: `Operator.kind`.
        traits: `time_features` of the operator.
        seconds: duration of a pass of a batch of the table's size.
    """

    family: str
    kind: str
    traits: tuple[float, ...]
    seconds: float


def time_features(operator: Operator) -> tuple[float, ...]:
    """The features that estimate the time of an operator: 1, MACs, Fourier operations, elements of its maps, parameters."""
    cost = operator.cost
    return (1.0, float(cost.macs), float(cost.fft_flops), float(operator.io_numel), float(cost.params))


class OperatorTable:
    """The times of operators on one device.

    Args:
        times: `Operator.key` -> time; must not be empty.
        batch_size: images of a pass.
    """

    def __init__(self, times: Mapping[str, OperatorTime], batch_size: int) -> None:
        self.times = dict(times)
        self.batch_size = batch_size
        self._rates: dict[str, Floats] = {}  # family -> seconds per feature
        self._seconds: dict[Operator, float] = {}

    def seconds(self, architecture: Architecture) -> float:
        """Predicted seconds of a pass of `batch_size` images through `architecture`."""
        return sum(count * self._operator_s(operator) for operator, count in operators(architecture).items())

    def seconds_by_part(self, architecture: Architecture) -> tuple[float, ...]:
        """Predicted seconds in the stem, in each stage and in the head; their sum is `seconds(architecture)`."""
        return tuple(
            sum(count * self._operator_s(operator) for operator, count in counts.items())
            for counts in operators_by_part(architecture)
        )

    def predict(self, objective: Objective, architecture: Architecture) -> float:
        """The predicted value of a measured `objective`.

        Raises:
            ValueError: operator times do not predict it.
        """
        if objective.from_seconds is None:
            raise ValueError(f"objective {objective.name!r} is not predicted by operator times")
        return objective.from_seconds(self.seconds(architecture), self.batch_size)

    def _operator_s(self, operator: Operator) -> float:
        if operator not in self._seconds:
            entry = self.times.get(operator.key)
            self._seconds[operator] = entry.seconds if entry is not None else self.estimate(operator)
        return self._seconds[operator]

    def estimate(self, operator: Operator) -> float:
        """Estimate the seconds of `operator` from the timed operators of its family, or else of its kind, or else from all."""
        family, kind = operator.family, operator.kind
        if family not in self._rates:
            groups = (
                [time for time in self.times.values() if time.family == family],
                [time for time in self.times.values() if time.kind == kind],
                list(self.times.values()),
            )
            group = next((group for group in groups if len(group) >= MIN_TIMED_PER_FAMILY), groups[-1])
            self._rates[family] = fit_rates(group)
        return float(np.array(time_features(operator)) @ self._rates[family])


def fit_rates(times: Sequence[OperatorTime]) -> Floats:
    """Fit non-negative seconds per feature to `times`, by least squares of relative errors."""
    from scipy.optimize import nnls  # slow to import, and a complete table does not need it

    seconds = np.array([time.seconds for time in times])
    features = np.array([time.traits for time in times]) / seconds[:, None]
    unit = np.maximum(features.max(axis=0), 1e-300)
    return np.asarray(nnls(features / unit, np.ones(len(seconds)))[0] / unit)


def operators_to_time(space: SearchSpace, seed: int = 0) -> list[Operator]:
    """The operators of random architectures of `space`, in the order in which they should be timed.

    A few of each family come first, then the others by their share of the work.
    """
    rng = np.random.default_rng(seed)
    counts: Counter[Operator] = Counter()
    for _ in range(SAMPLED_ARCHITECTURES):
        counts.update(operators(space.sample(rng)))
    work = {operator: sum(time_features(operator)[1:]) for operator in counts}
    families: defaultdict[str, list[Operator]] = defaultdict(list)
    for operator in sorted(counts, key=lambda operator: (work[operator], operator.key)):
        families[operator.family].append(operator)
    first = dict.fromkeys(operator for members in families.values() for operator in _spread(members))
    rest = sorted(counts.keys() - first.keys(), key=lambda operator: (-counts[operator] * work[operator], operator.key))
    return [*first, *rest]


def _spread(members: Sequence[Operator]) -> Iterable[Operator]:
    """`MIN_TIMED_PER_FAMILY` of the sorted `members`, evenly spaced from the first to the last."""
    last = len(members) - 1
    return (members[round(i * last / (MIN_TIMED_PER_FAMILY - 1))] for i in range(MIN_TIMED_PER_FAMILY))


def operator_times(timed_operators: Sequence[Operator], seconds: Iterable[float]) -> dict[str, OperatorTime]:
    """The entries of a table: `timed_operators` with their `seconds`. Operators without a time are left out."""
    return {
        operator.key: OperatorTime(operator.family, operator.kind, time_features(operator), time_s)
        for operator, time_s in zip(timed_operators, seconds, strict=False)
    }


def write_tables(tables: Mapping[str, OperatorTable], file: Path) -> None:
    """Write `tables` (objective -> table) to `file`."""
    plain = {
        name: {
            "batch_size": table.batch_size,
            "operators": {key: asdict(time) for key, time in table.times.items()},
        }
        for name, table in tables.items()
    }
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(plain, indent=1))


def read_tables(file: Path) -> dict[str, OperatorTable]:
    """Read the tables in `file`, by objective; empty if it is missing or damaged, since operators can be timed again."""
    try:
        return {name: _read_table(table) for name, table in read_json(file).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}


def _read_table(plain: Mapping[str, Any]) -> OperatorTable:
    times = {key: _read_time(time) for key, time in plain["operators"].items()}
    batch_size = int(plain["batch_size"])
    if not times or batch_size < 1:
        raise ValueError(f"a table must have operators and a batch, found {len(times)} and {batch_size}")
    return OperatorTable(times, batch_size)


def _read_time(plain: Mapping[str, Any]) -> OperatorTime:
    traits, seconds = tuple(map(float, plain["traits"])), float(plain["seconds"])
    if len(traits) != TRAITS or not all(map(math.isfinite, traits)) or not 0 < seconds < math.inf:
        raise ValueError(f"an operator must have {TRAITS} finite features and a time, found {traits} and {seconds}")
    return OperatorTime(str(plain["family"]), str(plain["kind"]), traits, seconds)
