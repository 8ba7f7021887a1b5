"""A table of architectures that were all trained: what a training would give is looked up.

The space is the product of the choices. A combination that the table does not hold cannot be trained: it is refused
before training and counts for nothing. A combination whose trained objective is missing is a training that fails.

A value may hold several trainings of the same architecture (seeds). A training then gives one of them at random if there is to
be noise, else their mean; the front and the hypervolume are always those of the means.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution

from nas.analysis.front import Bounds, Volume, normalise
from nas.bench.reading import Raw, read
from nas.bench.roles import Wanted, roles_of
from nas.errors import ConfigError
from nas.objectives import Objective
from search_space.errors import unknown_name

Floats = NDArray[np.float64]
Levels = tuple[Hashable, ...]

LEAST_COVERAGE = 0.01  # of the combinations; below, hardly a proposal of any sampler would be in the table


@dataclass(frozen=True, eq=False)
class Table:
    """A table.

    Args:
        file: where it was read from.
        objectives: in the order of values.
        choices: choice -> its values.
        rows: the values of the choices, in their order -> the number of the row.
        trainings: of each row, for each objective, what its trainings gave, NaN for one that failed.
        features: name -> a further number known before training, `(n,)`.
        ignored: columns of the file that are none of these.
        bounds: the corners of the box that hypervolume is a share of: the reference point, and the best values.
    """

    file: Path
    objectives: tuple[Objective, ...]
    choices: Mapping[str, Levels]
    rows: Mapping[Levels, int]
    trainings: Sequence[tuple[tuple[float, ...], ...]]
    features: Mapping[str, Floats]
    ignored: tuple[str, ...]
    bounds: Bounds

    def __len__(self) -> int:
        return len(self.trainings)

    @property
    def combinations(self) -> int:
        """The number of combinations of choices, in the table or not."""
        return math.prod(map(len, self.choices.values()))

    @cached_property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        """The space as Optuna takes it."""
        return {name: CategoricalDistribution(values) for name, values in self.choices.items()}  # type: ignore[arg-type]

    @cached_property
    def values(self) -> Floats:
        """The mean of each row's trainings, `(n, objectives)`; NaN where all failed."""
        return means(self.trainings)

    @cached_property
    def unit(self) -> Floats:
        """`values` in the box: 0 at the reference point or worse, 1 at the best; NaN in a row that failed."""
        return normalise(self.values, self.objectives, self.bounds)

    @cached_property
    def volume(self) -> float:
        """The hypervolume of the whole table, as a share of the box."""
        volume = Volume(len(self.objectives))
        for point in self.unit:
            volume.add(point)
        return volume.value

    @cached_property
    def params(self) -> list[dict[str, Any]]:
        """The choices of each row."""
        return [dict(zip(self.choices, levels, strict=True)) for levels in self.rows]

    def row(self, params: Mapping[str, Any]) -> int | None:
        """The row with these choices; None if the table does not hold it."""
        return self.rows.get(tuple(params[name] for name in self.choices))

    def train(self, row: int, rng: np.random.Generator | None) -> list[float] | None:
        """What a training of `row` gives: the means, or with an `rng` one of the trainings; None if it fails."""
        if rng is None:
            given = self.values[row].tolist()
        else:
            place = float(rng.random())  # values of as many trainings belong together
            given = [seeds[int(place * len(seeds))] for seeds in self.trainings[row]]
        return given if all(map(math.isfinite, given)) else None


def load(file: Path, wanted: Wanted, reference: Mapping[str, float] | None = None) -> Table:
    """The table in `file`.

    Args:
        file: CSV or JSON, see `reading`.
        wanted: what the columns are, see `roles`.
        reference: objective -> its value at the reference point; the worst of the table for the others.

    Raises:
        ConfigError: a rule is broken; names file, row, column and value.
    """
    raw = read(file)
    roles = roles_of(raw, wanted)
    choices = {name: _levels(values) for name, values in roles.choices.items()}
    rows = _rows(raw, roles.choices)
    combinations = math.prod(map(len, choices.values()))
    if len(rows) < LEAST_COVERAGE * combinations:
        rule = f"a table must hold {LEAST_COVERAGE:.0%} of the combinations of its choices at least"
        raise ConfigError(str(file), f"{rule}, found {len(rows):,} of {combinations:,} (choices: {', '.join(choices)})")
    trainings = [tuple(_trainings(raw, row, one) for one in roles.objectives) for row in range(len(rows))]
    features = {name: np.array([_certain(raw, row, name) for row in range(len(rows))]) for name in roles.features}
    bounds = _bounds(file, means(trainings), roles.objectives, reference or {})
    table = Table(file, roles.objectives, choices, rows, trainings, features, roles.ignored, bounds)
    if table.volume == 0:
        rule = "an architecture of a table must be better than the reference point in every objective, found none"
        raise ConfigError(str(file), f"{rule}: give a worse one with --reference")
    return table


def means(trainings: Sequence[tuple[tuple[float, ...], ...]]) -> Floats:
    """The mean of the trainings that did not fail, of each row and objective; NaN where all did."""
    return np.array([[_mean(seeds) for seeds in row] for row in trainings], dtype=np.float64)


def _mean(seeds: Sequence[float]) -> float:
    known = [value for value in seeds if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _levels(values: Sequence[Any]) -> Levels:
    """The different values of a choice in order: numbers by size, texts by alphabet."""
    return tuple(sorted(set(values), key=lambda value: (isinstance(value, str), value)))


def _rows(raw: Raw, choices: Mapping[str, Sequence[Any]]) -> dict[Levels, int]:
    rows: dict[Levels, int] = {}
    for row, levels in enumerate(zip(*choices.values(), strict=True)):
        if levels in rows:
            first = raw.places[rows[levels]].rpartition(":")[2].strip()
            rule = f"an architecture must stand once (several trainings of it are a list in one cell), found it at {first} too"
            raise ConfigError(raw.places[row], f"{rule}: {dict(zip(choices, levels, strict=True))}")
        rows[levels] = row
    return rows


def _trainings(raw: Raw, row: int, objective: Objective) -> tuple[float, ...]:
    """What the trainings of `row` gave: NaN for one that failed. What is cheap has one value, and has it always."""
    name = objective.name
    given = (_certain(raw, row, name),) if objective.cheap else raw.numbers(row, name)
    if objective.log and any(value is not None and value <= 0 for value in given):
        raise raw.error(row, name, "must be above 0, since its logarithm counts")
    return tuple(math.nan if value is None else value for value in given)


def _certain(raw: Raw, row: int, name: str) -> float:
    """A number that must be known before training."""
    number = raw.number(row, name)
    if number is None:
        raise raw.error(row, name, "what is known before training must not be missing")
    return number


def _bounds(file: Path, values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]) -> Bounds:
    if not np.isfinite(values).all(axis=1).any():
        raise ConfigError(
            str(file), "a table must hold one architecture at least whose training did not fail, found none"
        )
    bounds = Bounds.of(values, objectives)
    if bounds.is_point:
        raise ConfigError(str(file), "a table must hold architectures that differ in an objective, found none")
    worst = list(bounds.worst)
    names = [objective.name for objective in objectives]
    for name, value in reference.items():
        if name not in names:
            raise unknown_name("--reference", "objective", name, names)
        i = names.index(name)
        if objectives[i].log and value <= 0:
            raise ConfigError(f"--reference {name}={value:g}", "must be above 0, since its logarithm counts")
        worst[i] = math.log10(value) if objectives[i].log else value
        if (worst[i] < bounds.best[i]) != (objectives[i].direction == "maximize") or worst[i] == bounds.best[i]:
            best = 10 ** bounds.best[i] if objectives[i].log else bounds.best[i]
            raise ConfigError(f"--reference {name}={value:g}", f"must be worse than the best of the table, {best:g}")
    return replace(bounds, worst=tuple(worst))
