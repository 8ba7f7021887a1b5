"""A table of trained architectures, in which the result of a training is looked up.

The space is the product of the choices. A combination that the table does not hold cannot be trained: it is refused
before training and not counted. A combination without a value of a trained objective is a training that fails.

A cell may hold the results of several trainings of the same architecture (seeds). A training then gives a random one of them
if noise is requested, else their mean. The front and the hypervolume are always those of the means.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution

from nas.analysis.front import Bounds, Volume, normalise
from nas.bench.column_roles import ColumnOptions, assign_roles
from nas.bench.table_file import RawTable, read_table
from nas.errors import ConfigError, UnknownNameError
from nas.objectives import Objective

Floats = NDArray[np.float64]
ChoiceValues = tuple[Hashable, ...]

MIN_COVERAGE = 0.01  # share of the combinations; below, hardly any proposal of a sampler would be in the table


@dataclass(frozen=True, eq=False)
class BenchmarkTable:
    """A table of trained architectures.

    Args:
        file: the file of the table.
        objectives: the objectives, in the order of values.
        choices: choice -> its possible values.
        rows: the values of the choices, in their order -> the number of the row.
        trainings: the results of the trainings of each row and objective; NaN for a failed training.
        features: name -> another number known before training, `(n,)`.
        ignored: the other columns of the file.
        bounds: the reference point and the best values, the corners of the box whose hypervolume is 1.
        reference: objective -> its value at the reference point, for those where it was given; samplers know it.
    """

    file: Path
    objectives: tuple[Objective, ...]
    choices: Mapping[str, ChoiceValues]
    rows: Mapping[ChoiceValues, int]
    trainings: Sequence[tuple[tuple[float, ...], ...]]
    features: Mapping[str, Floats]
    ignored: tuple[str, ...]
    bounds: Bounds
    reference: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.trainings)

    @property
    def combinations(self) -> int:
        """The number of combinations of choices, whether in the table or not."""
        return math.prod(map(len, self.choices.values()))

    @cached_property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        """The space as Optuna distributions."""
        return {name: CategoricalDistribution(values) for name, values in self.choices.items()}  # type: ignore[arg-type]

    @cached_property
    def values(self) -> Floats:
        """The mean of each row's trainings, `(n, objectives)`; NaN where all failed."""
        return mean_values(self.trainings)

    @cached_property
    def unit_values(self) -> Floats:
        """`values` scaled to the box: 0 at the reference point or worse, 1 at the best; NaN in a failed row."""
        return normalise(self.values, self.objectives, self.bounds)

    @cached_property
    def hypervolume(self) -> float:
        """The hypervolume of the whole table, as a share of the box."""
        volume = Volume(len(self.objectives))
        for point in self.unit_values:
            volume.add(point)
        return volume.value

    @cached_property
    def params(self) -> list[dict[str, Any]]:
        """The choices of each row."""
        return [dict(zip(self.choices, values, strict=True)) for values in self.rows]

    def row(self, params: Mapping[str, Any]) -> int | None:
        """The number of the row with these choices; None if there is none."""
        return self.rows.get(tuple(params[name] for name in self.choices))

    def train(self, row: int, rng: np.random.Generator | None) -> list[float] | None:
        """The result of a training of `row`: the means, or with `rng` those of one training; None if it fails."""
        if rng is None:
            values = self.values[row].tolist()
        else:
            position = float(rng.random())  # one draw: cells of equally many trainings list the same trainings
            values = [seeds[int(position * len(seeds))] for seeds in self.trainings[row]]
        return values if all(map(math.isfinite, values)) else None


def load_table(file: Path, options: ColumnOptions, reference: Mapping[str, float] | None = None) -> BenchmarkTable:
    """Read the table in `file`.

    Args:
        file: a CSV or JSON file, see `nas.bench.table_file`.
        options: the roles of columns, see `nas.bench.column_roles`.
        reference: objective -> its value at the reference point (default: the worst of the table).

    Raises:
        ConfigError: a rule is broken; names file, row, column and value.
    """
    raw = read_table(file)
    roles = assign_roles(raw, options)
    choices = {name: _sorted_values(values) for name, values in roles.choices.items()}
    rows = _rows(raw, roles.choices)
    combinations = math.prod(map(len, choices.values()))
    if len(rows) < MIN_COVERAGE * combinations:
        rule = f"a table must hold at least {MIN_COVERAGE:.0%} of the combinations of its choices"
        raise ConfigError(str(file), f"{rule}, found {len(rows):,} of {combinations:,} (choices: {', '.join(choices)})")
    trainings = [tuple(_trainings(raw, row, objective) for objective in roles.objectives) for row in range(len(rows))]
    features = {
        name: np.array([_required_number(raw, row, name) for row in range(len(rows))]) for name in roles.features
    }
    bounds = _bounds(file, mean_values(trainings), roles.objectives, reference or {})
    table = BenchmarkTable(
        file, roles.objectives, choices, rows, trainings, features, roles.ignored, bounds, reference or {}
    )
    if table.hypervolume == 0:
        rule = "at least one architecture must be better than the reference point in every objective, found none"
        raise ConfigError(str(file), f"{rule}: give a worse point with --reference")
    return table


def mean_values(trainings: Sequence[tuple[tuple[float, ...], ...]]) -> Floats:
    """The mean of the trainings that did not fail, of each row and objective; NaN where all did."""
    return np.array([[_mean(seeds) for seeds in row] for row in trainings], dtype=np.float64)


def _mean(seeds: Sequence[float]) -> float:
    finite = [value for value in seeds if not math.isnan(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def _sorted_values(values: Sequence[Any]) -> ChoiceValues:
    """The distinct values of a choice: numbers in ascending, texts in alphabetical order."""
    return tuple(sorted(set(values), key=lambda value: (isinstance(value, str), value)))


def _rows(raw: RawTable, choices: Mapping[str, Sequence[Any]]) -> dict[ChoiceValues, int]:
    rows: dict[ChoiceValues, int] = {}
    for row, values in enumerate(zip(*choices.values(), strict=True)):
        if values in rows:
            first = raw.places[rows[values]].rpartition(":")[2].strip()
            rule = f"architectures must be unique (several trainings of one are a list in one cell), found it also at {first}"
            raise ConfigError(raw.places[row], f"{rule}: {dict(zip(choices, values, strict=True))}")
        rows[values] = row
    return rows


def _trainings(raw: RawTable, row: int, objective: Objective) -> tuple[float, ...]:
    """The results of the trainings of `row`, NaN for a failed one. A cheap objective has exactly one value."""
    name = objective.name
    numbers = (_required_number(raw, row, name),) if objective.cheap else raw.numbers(row, name)
    if objective.log and any(value is not None and value <= 0 for value in numbers):
        raise raw.error(row, name, "must be above 0, since its logarithm is used")
    return tuple(math.nan if value is None else value for value in numbers)


def _required_number(raw: RawTable, row: int, name: str) -> float:
    """A number that is known before training and must not be missing."""
    number = raw.number(row, name)
    if number is None:
        raise raw.error(row, name, "a value known before training must not be missing")
    return number


def _bounds(file: Path, values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]) -> Bounds:
    if not np.isfinite(values).all(axis=1).any():
        raise ConfigError(
            str(file), "a table must hold at least one architecture whose training did not fail, found none"
        )
    bounds = Bounds.of(values, objectives)
    if bounds.is_point:
        raise ConfigError(
            str(file), "the architectures of a table must differ in at least one objective, found none that do"
        )
    worst = list(bounds.worst)
    names = [objective.name for objective in objectives]
    for name, value in reference.items():
        if name not in names:
            raise UnknownNameError("--reference", "objective", name, names)
        i = names.index(name)
        if objectives[i].log and value <= 0:
            raise ConfigError(f"--reference {name}={value:g}", "must be above 0, since its logarithm is used")
        worst[i] = math.log10(value) if objectives[i].log else value
        if (worst[i] < bounds.best[i]) != (objectives[i].direction == "maximize") or worst[i] == bounds.best[i]:
            best = 10 ** bounds.best[i] if objectives[i].log else bounds.best[i]
            raise ConfigError(f"--reference {name}={value:g}", f"must be worse than the best of the table, {best:g}")
    return replace(bounds, worst=tuple(worst))
