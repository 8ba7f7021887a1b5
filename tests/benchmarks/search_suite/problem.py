"""A problem: a space, objectives, what a training gives, and the hypervolume of the best front.

**Hypervolume.** As in `nas bench search`: logarithms where ratios matter, then each objective is scaled so that it is 0 at
the reference point and 1 at the best value; points that break a limit do not count. A share is relative to the hypervolume of
the best front. The reference point of generated problems lies beyond the worst values on the best front by a tenth of its
range, so that both ends of the front count.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from optuna.study import Study
from optuna.trial import Trial

from nas.analysis.front import Bounds, hypervolume, normalise
from nas.objectives import Direction, Objective
from nas.sampler.registry import SamplerContext, SamplerObjective
from search_suite.front import best_front
from search_suite.space import Floats, Rng, Space

INFEASIBLE_ATTRIBUTE = "infeasible"
MARGIN = 0.1
"""Of the range of the best front, by which the reference point lies beyond its worst values."""
_KEPT_COSTS = 200_000
PROBES = 200


def objective(name: str, direction: Direction, *, log: bool = False, cheap: bool = False) -> Objective:
    """An objective of a problem."""
    return Objective(name, name, "", direction, log, "cost" if cheap else "trained")


@dataclass(frozen=True, eq=False)
class Goal:
    """What is optimised, and what the best is.

    Args:
        objectives: in the order of values.
        limits: the worst value allowed of each objective; None: no limit.
        bounds: the reference point and the best values.
        best: the hypervolume of the best front, a share of the box between them.
        exact: True if all points were evaluated to find that front, False if it is the best one known.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[float | None, ...]
    bounds: Bounds
    best: float
    exact: bool

    def unit(self, values: Floats) -> Floats:
        """`(n, m) -> (n, m)`: 0 at the reference point or worse, 1 at the best; NaN for what does not count."""
        values = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan)
        for i, (item, limit) in enumerate(zip(self.objectives, self.limits, strict=True)):
            if limit is not None:
                worse = values[:, i] < limit if item.direction == "maximize" else values[:, i] > limit
                values = np.where(worse[:, None], np.nan, values)
        return normalise(values, self.objectives, self.bounds)


class Problem(Protocol):
    """What a simulated search needs of a problem."""

    name: str
    goal: Goal
    size: float
    """The number of points."""

    def context(self, seed: int) -> SamplerContext:
        """What a sampler may know."""

    def ask(self, study: Study) -> tuple[Trial, Any]:
        """A new trial and its point."""

    def enqueue(self, study: Study, rng: Rng, tried: Mapping[Hashable, Any]) -> None:
        """Enqueue a random point that was not tried."""

    def key(self, point: Any) -> Hashable | None:
        """What tells the point from others; None for a point that does not exist."""

    def means(self, point: Any) -> Floats:
        """The values without noise, `(m,)`; NaN if the training fails."""

    def train(self, point: Any, rng: Rng) -> Floats:
        """The values of one training, `(m,)`; NaN if it fails."""


@dataclass(frozen=True, eq=False)
class Response:
    """The values of points of a `Space`.

    Args:
        costs: rows `(n, d)` -> values of the cheap objectives and then of the features, `(n, c)`.
        trained: rows and costs -> values of the other objectives, `(n, t)`; NaN for a training that fails.
        noisy: the trained values of one point, and a generator -> those of one training.
    """

    costs: Callable[[Floats], Floats]
    trained: Callable[[Floats, Floats], Floats]
    noisy: Callable[[Floats, Rng], Floats] = lambda values, rng: values


class SpaceProblem:
    """A generated problem.

    Args:
        name: its name.
        space: its points.
        objectives: the trained ones may stand anywhere among the cheap ones.
        response: their values, of each kind in the order of `objectives`.
        features: the number of further columns of `response.costs`.
        limits: objective -> the worst value allowed.
        worst: objective -> its value at the reference point, for those where it is not found from the front.
    """

    def __init__(
        self,
        name: str,
        space: Space,
        objectives: tuple[Objective, ...],
        response: Response,
        *,
        features: int = 0,
        limits: Mapping[str, float] | None = None,
        worst: Mapping[str, float] | None = None,
    ) -> None:
        self.name, self.space, self.response = name, space, response
        self.objectives = objectives
        self.size = space.product
        self.cheap = [i for i, item in enumerate(objectives) if item.cheap]
        self.expensive = [i for i, item in enumerate(objectives) if not item.cheap]
        self.features = features
        self.limits = tuple((limits or {}).get(item.name) for item in objectives)
        self.worst = dict(worst or {})
        self._costs: dict[bytes, Floats] = {}

    def values(self, rows: Floats) -> Floats:
        """The values without noise, `(n, m)`; a row of NaN where a training fails."""
        costs = self.response.costs(rows)
        values = np.empty((len(rows), len(self.objectives)))
        values[:, self.cheap] = costs[:, : len(self.cheap)]
        values[:, self.expensive] = self.response.trained(rows, costs)
        values[np.isnan(values).any(axis=1)] = np.nan
        return values

    def find_goal(self) -> Goal:
        """Search the best front; slow for a large space."""
        signs = np.array([-1.0 if item.direction == "maximize" else 1.0 for item in self.objectives])
        limits = np.array([math.inf if x is None else s * x for x, s in zip(self.limits, signs, strict=True)])

        def evaluate(rows: Floats) -> Floats:
            values = self.values(rows) * signs
            values[~(values <= limits).all(axis=1) | ~np.isfinite(values).all(axis=1)] = np.nan
            return values

        front, exact = best_front(self.space, evaluate)
        bounds = bounds_of(front * signs, self.objectives, self.worst)
        return Goal(self.objectives, self.limits, bounds, hypervolume(front * signs, self.objectives, bounds), exact)

    goal: Goal  # set by `search_suite.catalogue`, which keeps it in a file

    def fingerprint(self) -> str:
        """A number that changes with the space and the values of the problem."""
        rows = self.space.sample(np.random.default_rng(0), PROBES)
        values = np.nan_to_num(self.values(rows), nan=-1.0, posinf=1e300, neginf=-1e300)
        text = f"{self.limits} {self.worst} {self.size} {[f'{value:.9g}' for value in values.ravel()]}"
        return f"{zlib.crc32(text.encode()):08x}"

    def context(self, seed: int) -> SamplerContext:
        objectives = tuple(
            SamplerObjective(
                item.name,
                item.direction,
                item.log,
                compute=self._cost(self.cheap.index(i)) if item.cheap else None,
                limit=self.limits[i],
            )
            for i, item in enumerate(self.objectives)
        )
        return SamplerContext(
            None if self.space.conditional else self.space.distributions,  # type: ignore[arg-type]  # define-by-run
            objectives,
            primary=self.expensive[0],
            features=tuple(self._cost(len(self.cheap) + i) for i in range(self.features)),
            infeasible_attribute=INFEASIBLE_ATTRIBUTE,
            seed=seed,
        )

    def _cost(self, column: int) -> Callable[[Mapping[str, Any]], float]:
        def value(params: Mapping[str, Any]) -> float:
            return float(self._costs_of(self.space.row(params))[column])

        return value

    def _costs_of(self, row: Floats) -> Floats:
        key = row.tobytes()
        if key not in self._costs:
            if len(self._costs) >= _KEPT_COSTS:
                self._costs.clear()
            self._costs[key] = self.response.costs(row[None])[0]
        return self._costs[key]

    def ask(self, study: Study) -> tuple[Trial, Floats]:
        if self.space.conditional:
            trial = study.ask()
            return trial, self.space.row(self.space.suggest(trial))
        trial = study.ask(dict(self.space.distributions))
        return trial, self.space.row(trial.params)

    def enqueue(self, study: Study, rng: Rng, tried: Mapping[Hashable, Any]) -> None:
        row = self.space.sample(rng, 1)[0]
        while self.key(row) in tried:
            row = self.space.sample(rng, 1)[0]
        study.enqueue_trial(self.space.params(row))

    def key(self, point: Floats) -> Hashable:
        return point.tobytes()

    def means(self, point: Floats) -> Floats:
        return self.values(point[None])[0]

    def train(self, point: Floats, rng: Rng) -> Floats:
        values = self.means(point)
        if np.isfinite(values).all():
            values[self.expensive] = self.response.noisy(values[self.expensive], rng)
        return values


def bounds_of(front: Floats, objectives: tuple[Objective, ...], worst: Mapping[str, float]) -> Bounds:
    """The box: the best values on `front`, and a reference point beyond its worst ones unless `worst` gives it."""
    bounds = Bounds.of(front, objectives)
    reference = []
    for item, low, high in zip(objectives, bounds.worst, bounds.best, strict=True):
        beyond = low - MARGIN * ((high - low) or (abs(high) or 1.0) * (1 if item.direction == "maximize" else -1))
        given = worst.get(item.name)
        reference.append(beyond if given is None else math.log10(given) if item.log else given)
    return Bounds(tuple(reference), bounds.best)
