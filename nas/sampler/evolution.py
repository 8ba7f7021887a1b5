"""Regularised (aging) evolution for several objectives, as an Optuna sampler.

The population is the last P complete trials: the oldest dies, however good it is, so that what was lucky once has to prove
itself again (Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search, AAAI 2019,
algorithm 1). A child is the winner of a tournament of S random members, with one parameter made anew. Where there are
several objectives the tournament goes by Pareto rank, then by crowding distance (Deb et al.: NSGA-II, 2002), both within the
population.

Nothing is remembered between trials but the state of the generator: the population is read from the study.
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

from nas.sampler.domain import allows

Floats = NDArray[np.float64]

REDRAWS = 100  # of a number, until it differs from the parent's


@dataclass(frozen=True)
class _Plan:
    """A child: what it has of its parent, and the parameter that is made anew; nothing of either for a random one."""

    inherited: Mapping[str, Any] = field(default_factory=dict)
    mutated: str | None = None


class RegularisedEvolution(BaseSampler):
    """Regularised evolution.

    Works with a fixed search space and with one that arises as the objective asks for it: parameters that the parent does
    not have are random.

    Args:
        population_size: the number of trials that live; so many are random before the first child.
        tournament_size: the number of members that a parent is the best of.
        seed: of all that is random.

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
        self._plans: dict[int, _Plan] = {}
        self._lock = threading.Lock()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """None: every parameter is answered when it is asked for."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see `infer_relative_search_space`."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The parent's value, another one for the mutated parameter, a random one for what the parent does not have."""
        with self._lock:
            if trial.number not in self._plans:
                self._plans[trial.number] = self._plan(study)
            plan = self._plans[trial.number]
            if param_name in plan.inherited:
                value = plan.inherited[param_name]
                if param_name == plan.mutated:
                    return self._other(study, trial, param_name, param_distribution, value)
                if allows(param_distribution, value):
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

    def _plan(self, study: Study) -> _Plan:
        population = self._population(study)
        if len(population) < self.population_size:
            return _Plan()
        signs = [1.0 if direction == StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
        order = best_first(np.array([trial.values for trial in population]) * signs)
        places = self._rng.choice(len(population), self.tournament_size, replace=False)
        parent = population[order[places.min()]]
        free = sorted(name for name, distribution in parent.distributions.items() if not distribution.single())
        return _Plan(parent.params, free[int(self._rng.integers(len(free)))] if free else None)

    def _population(self, study: Study) -> list[FrozenTrial]:
        """The last complete trials whose values are all finite."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        finite = [trial for trial in complete if all(map(math.isfinite, trial.values))]
        return heapq.nlargest(self.population_size, finite, key=_age)

    def _other(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution, value: Any) -> Any:
        """A value of `distribution` that is not `value`."""
        if isinstance(distribution, CategoricalDistribution):
            others = [choice for choice in distribution.choices if choice != value]
            return others[int(self._rng.integers(len(others)))] if others else value
        for _ in range(REDRAWS):
            drawn = self._random.sample_independent(study, trial, name, distribution)
            if drawn != value:
                return drawn
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def best_first(losses: Floats) -> list[int]:
    """The rows of `losses`, `(n, m)`, all to be minimised: by Pareto rank, and within a rank the least crowded first."""
    if losses.shape[1] == 1:
        return [int(i) for i in np.argsort(losses[:, 0], kind="stable")]
    rank = moocore.pareto_rank(losses)
    crowding = np.zeros(len(losses))
    for level in np.unique(rank):
        crowding[rank == level] = crowding_distance(losses[rank == level])
    return [int(i) for i in np.lexsort((-crowding, rank))]


def crowding_distance(losses: Floats) -> Floats:
    """How far each row's neighbours are from one another, summed over objectives scaled to 1: `(n, m) -> (n,)`.

    The ends of an objective have none on one side: infinite.
    """
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = float(column[order[-1]] - column[order[0]])
        if span == 0:
            continue  # tells no row from another
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def _age(trial: FrozenTrial) -> tuple[float, int]:
    """Later for the younger."""
    return (trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0), trial.number
