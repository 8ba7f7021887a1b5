"""Regularised (aging) evolution for several objectives, as an Optuna sampler.

The population is the last P complete trials. The oldest member dies, however good it is, so that a lucky result has to be
reproduced (Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search, AAAI 2019,
algorithm 1). A child is the winner of a tournament of S random members with one parameter mutated. With several objectives
the tournament is decided by Pareto rank, then by crowding distance (Deb et al.: NSGA-II, 2002), both within the population.

Between trials only the state of the random generator is kept: the population is read from the study.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.optuna_adapter import contains

Floats = NDArray[np.float64]

MAX_REDRAWS = 100  # of a number, until it differs from the parent's


@dataclass(frozen=True)
class _ChildPlan:
    """The inherited parameters of a child and the name of the mutated one; empty for a random child."""

    inherited: Mapping[str, Any] = field(default_factory=dict)
    mutated: str | None = None


class RegularisedEvolution(BaseSampler):
    """Regularised evolution.

    The search space may be fixed or defined by run: parameters that the parent does not have are random.

    Args:
        population_size: the number of members, at least 1; this many trials are random before the first child.
        tournament_size: the number of random members of which the best is the parent, 1 to `population_size`.
        seed: of all random draws.

    Raises:
        ValueError: a size below 1, or a tournament larger than the population.
    """

    def __init__(self, *, population_size: int = 20, tournament_size: int = 10, seed: int | None = None) -> None:
        if not 1 <= tournament_size <= population_size:
            rule = f"tournament_size must be 1 to population_size, found {tournament_size} of {population_size}"
            raise ValueError(rule)
        self.population_size = population_size
        self.tournament_size = tournament_size
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=int(self._rng.integers(2**31)))
        self._plans: dict[int, _ChildPlan] = {}
        self._lock = threading.Lock()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: parameters are sampled one by one, when the objective suggests them."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see `infer_relative_search_space`."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The parent's value; another one for the mutated parameter; a random one if the parent has no value."""
        with self._lock:
            if trial.number not in self._plans:
                self._plans[trial.number] = self._plan(study)
            plan = self._plans[trial.number]
            if param_name in plan.inherited:
                value = plan.inherited[param_name]
                if param_name == plan.mutated:
                    return self._different_value(study, trial, param_name, param_distribution, value)
                if contains(param_distribution, value):
                    return value
            return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the plan of a trial that has ended."""
        with self._lock:
            self._plans.pop(trial.number, None)

    def reseed_rng(self) -> None:
        """Draw differently from now on (Optuna calls it in each process of a parallel study)."""
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def _plan(self, study: Study) -> _ChildPlan:
        population = self._population(study)
        if len(population) < self.population_size:
            return _ChildPlan()
        signs = [1.0 if direction == StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
        order = rank_order(np.array([trial.values for trial in population]) * signs)
        ranks = self._rng.choice(len(population), self.tournament_size, replace=False)
        parent = population[order[ranks.min()]]
        variable = sorted(name for name, distribution in parent.distributions.items() if not distribution.single())
        return _ChildPlan(parent.params, variable[int(self._rng.integers(len(variable)))] if variable else None)

    def _population(self, study: Study) -> list[FrozenTrial]:
        """The last complete trials whose values are all finite."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        finite = [trial for trial in complete if all(map(math.isfinite, trial.values))]
        return heapq.nlargest(self.population_size, finite, key=_age)

    def _different_value(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution, value: Any
    ) -> Any:
        """A random value of `distribution` other than `value`, if there is one."""
        if isinstance(distribution, CategoricalDistribution):
            others = [choice for choice in distribution.choices if choice != value]
            return others[int(self._rng.integers(len(others)))] if others else value
        for _ in range(MAX_REDRAWS):
            drawn = self._random.sample_independent(study, trial, name, distribution)
            if drawn != value:
                return drawn
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def rank_order(losses: Floats) -> list[int]:
    """The order of the rows of `losses` `(n, m)`, all minimised: by Pareto rank, within a rank the least crowded first."""
    if losses.shape[1] == 1:
        return [int(i) for i in np.argsort(losses[:, 0], kind="stable")]
    rank = moocore.pareto_rank(losses)
    crowding = np.zeros(len(losses))
    for level in np.unique(rank):
        crowding[rank == level] = crowding_distance(losses[rank == level])
    return [int(i) for i in np.lexsort((-crowding, rank))]


def crowding_distance(losses: Floats) -> Floats:
    """The distance between each row's neighbours, summed over objectives scaled to 1: `(n, m) -> (n,)`.

    It is infinite for the rows at the ends of an objective, which have one neighbour only.
    """
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = float(column[order[-1]] - column[order[0]])
        if span == 0:
            continue  # all rows are equal in this objective
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def _age(trial: FrozenTrial) -> tuple[float, int]:
    """Sorts trials from the oldest to the youngest."""
    return (trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0), trial.number
