"""Base of rivals that choose among the points of a fixed space: reads a study as arrays, makes candidates with costs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.registry import SamplerContext
from search_suite.front import nondominated
from search_suite.space import Floats, Parameter, Space

MAX_CANDIDATES = 1500
"""Points that are scored at once; all of them where the space has no more."""


@dataclass(frozen=True)
class Data:
    """What is known of a search.

    Args:
        rows: trained points `(n, d)`, see `search_suite.space`.
        losses: their values `(n, m)`, all to be minimised, logarithms where ratios matter.
        pending: points in training `(p, d)`.
        tried: the keys of all points that were proposed, also of those that failed.
    """

    rows: Floats
    losses: Floats
    pending: Floats
    tried: frozenset[bytes]


class RowSampler(BaseSampler):
    """Proposes random points first, and then what `choose` says.

    Args:
        context: the search; its space must have fixed parameters.

    Raises:
        ValueError: the parameters depend on one another.
    """

    def __init__(self, context: SamplerContext) -> None:
        if not isinstance(context.search_space, Mapping):
            raise ValueError("search_space: this sampler must be told fixed parameters")
        self.context = context
        self.space = Space(tuple(_parameter(name, item) for name, item in context.search_space.items()))
        self.rng = np.random.default_rng(context.seed)
        self.signs = np.array([1.0 if item.direction == "minimize" else -1.0 for item in context.objectives])
        self.num_first = min(2 * (len(self.space.parameters) + 1), 16)
        self._costs: dict[bytes, Floats] = {}
        self._independent = RandomSampler(seed=context.seed)

    @abstractmethod
    def choose(self, data: Data, candidates: Floats) -> int:
        """The index of the candidate to train next."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        data = self.read(study)
        if len(data.rows) < self.num_first:
            candidates = self._new(self.space.sample(self.rng, 64), data)
            index = 0
        else:
            candidates = self.candidates(data)
            index = self.choose(data, candidates) if len(candidates) else 0
        row = candidates[index] if len(candidates) else self.space.sample(self.rng, 1)[0]
        return self.space.params(row)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def read(self, study: Study) -> Data:
        """The trials of `study` as arrays; infinite losses are left out, like failures."""
        rows, losses, pending, tried = [], [], [], set()
        for trial in study.get_trials(deepcopy=False):
            if set(trial.params) != set(self.space.names):
                continue
            row = self.space.row(trial.params)
            tried.add(row.tobytes())
            if trial.state == TrialState.RUNNING:
                pending.append(row)
            elif trial.state == TrialState.COMPLETE:
                values = self._losses(trial.values)
                if np.isfinite(values).all():
                    rows.append(row)
                    losses.append(values)
        d, m = len(self.space.parameters), len(self.signs)
        return Data(
            np.array(rows).reshape(-1, d),
            np.array(losses).reshape(-1, m),
            np.array(pending).reshape(-1, d),
            frozenset(tried),
        )

    def _losses(self, values: Sequence[float]) -> Floats:
        pairs = zip(self.context.objectives, values, strict=True)
        return self.signs * [math.log(value) if item.log and 0 < value < math.inf else value for item, value in pairs]

    def candidates(self, data: Data) -> Floats:
        """Points that may be proposed: all of a small space, else random ones and relatives of the front."""
        if self.space.product <= MAX_CANDIDATES:
            return self._new(np.concatenate(list(self.space.chunks())), data)
        random = self.space.sample(self.rng, MAX_CANDIDATES // 3)
        kept = {tuple(row) for row in nondominated(data.losses)}
        front = data.rows[[tuple(row) in kept for row in data.losses]]
        neighbours = self.space.neighbours(front, self.rng)
        twice = self.space.neighbours(neighbours[self.rng.permutation(len(neighbours))[:50]], self.rng)
        relatives = np.concatenate([neighbours, twice])
        relatives = relatives[self.rng.permutation(len(relatives))[: 2 * MAX_CANDIDATES // 3]]
        return self._new(np.unique(np.concatenate([random, relatives]), axis=0), data)

    def _new(self, rows: Floats, data: Data) -> Floats:
        """Those of `rows` that were not tried, exist and keep the limits on costs."""
        feasible = self.context.feasible
        kept = []
        for row in rows:
            if row.tobytes() in data.tried or (feasible is not None and not feasible(self.space.params(row))):
                continue
            if self._keeps_limits(row):
                kept.append(row)
        return np.array(kept).reshape(-1, len(self.space.parameters))

    def _keeps_limits(self, row: Floats) -> bool:
        objectives = self.context.objectives
        limited = [i for i, item in enumerate(objectives) if item.limit is not None and item.compute is not None]
        if not limited:
            return True
        costs = self.cost_losses(row[None])[0]
        bounds = self._losses([math.inf if item.limit is None else item.limit for item in objectives])
        return all(costs[i] <= bounds[i] for i in limited)

    def cost_losses(self, rows: Floats) -> Floats:
        """The losses of the cheap objectives, `(n, m)`; NaN for the others."""
        return np.array([self._cost_of(row) for row in rows]).reshape(len(rows), len(self.signs))

    def _cost_of(self, row: Floats) -> Floats:
        key = row.tobytes()
        if key not in self._costs:
            params = self.space.params(row)
            values = [math.nan if item.compute is None else item.compute(params) for item in self.context.objectives]
            self._costs[key] = self._losses(values)
        return self._costs[key]

    def encode(self, rows: Floats) -> Floats:
        """One-hot for unordered choices, positions from 0 to 1 for ordered ones."""
        columns = []
        for i, parameter in enumerate(self.space.parameters):
            count = self.space.counts[i]
            if count == 0:
                columns.append(rows[:, i : i + 1])
            elif parameter.ordered or count == 2:
                ranks = np.argsort(np.argsort(parameter.values)) if parameter.ordered else np.arange(count)
                columns.append((ranks[rows[:, i].astype(int)] / max(count - 1, 1))[:, None])
            else:
                columns.append(np.eye(count)[rows[:, i].astype(int)])
        return np.concatenate(columns, axis=1)


def _parameter(name: str, distribution: BaseDistribution) -> Parameter:
    """A parameter that is ordered unless it has values that are no numbers."""
    if not isinstance(distribution, CategoricalDistribution):
        return Parameter(name, distribution, ordered=True)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in distribution.choices)
    return Parameter(name, distribution, ordered=numbers and len(distribution.choices) > 2)
