"""`ParetoSampler`: multi-objective search that knows its cheap objectives before it trains.

    study = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=ParetoSampler(search_space={"k": CategoricalDistribution([3, 5, 7]), ...}, cheap={1: macs_of_params}, seed=0),
    )

An ordinary Optuna sampler for a fixed search space. It proposes no point twice, whatever became of the first (complete, failed,
pruned, running elsewhere), as long as there is another.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from nas.sampler.architectures import Architectures
from nas.sampler.domain import Box, Domain, allows
from nas.sampler.engine import Engine, Observed
from search_space import SearchSpace

UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


class ParetoSampler(BaseSampler):
    """The cost-aware Pareto sampler.

    Args:
        search_space: parameter -> distribution, or a `search_space.SearchSpace`, whose `suggest(trial)` the objective calls.
        cheap: objective index -> a function that gives it without training, of the parameters (name -> value), or of the
            architecture where the space is a `SearchSpace`.
        primary: index of the objective that training is for (accuracy); by default the first that is not cheap. Any others
            that are not cheap are modelled too, but taken as predicted.
        features: further numbers that tell something of a point before training (parameters of a network), as functions.
        feasible: False for points that must not be proposed, likewise a function.
        limits: objective index -> its worst value allowed.
        budget: the step of a trial's intermediate values (of the primary objective) at which its training is whole, such as
            the number of epochs: then trials that were stopped, pause or run are learned from as well.
        attributes: objective index -> the user attribute under which a trial has that value before it is complete.
        prior: parameters and values of the primary objective from elsewhere (another data set, a shorter training): they
            inform the model and are neither on the front nor counted as tried.
        seed: of all that is random.

    Raises:
        ValueError: an empty search space; at a study's first trial: an index that is no objective, or no objective to train for.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution] | SearchSpace,
        cheap: Mapping[int, Callable[[Any], float]] | None = None,
        *,
        primary: int | None = None,
        features: Sequence[Callable[[Any], float]] = (),
        feasible: Callable[[Any], bool] | None = None,
        limits: Mapping[int, float] | None = None,
        budget: int | None = None,
        attributes: Mapping[int, str] | None = None,
        prior: Sequence[tuple[Mapping[str, Any], float]] = (),
        seed: int | None = None,
    ) -> None:
        self.search_space = search_space
        self.cheap = dict(cheap or {})
        self.primary = primary
        self.features = tuple(features)
        self.feasible = feasible
        self.limits = dict(limits or {})
        self.budget = budget
        self.attributes = dict(attributes or {})
        self.prior = tuple(prior)
        self.seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        if isinstance(search_space, SearchSpace):
            self.domain: Domain[Any] = Architectures(search_space)
        else:
            self.domain = Box(search_space)
        self._random = RandomSampler(seed=self.seed)
        self._lock = threading.RLock()
        self._memory: _Memory | None = None
        self._plans: dict[int, dict[str, Any]] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The whole fixed space; none of a `SearchSpace`, whose decisions arise one by one."""
        if isinstance(self.search_space, SearchSpace):
            return {}
        return {name: one for name, one in self.search_space.items() if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of the point to train next."""
        if not search_space or set(search_space) <= set(trial.system_attrs.get("fixed_params", {})):
            return {}
        plan = self._plan(study, trial)
        return {name: plan[name] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The planned value of a parameter; a random one of a parameter that the search space does not hold."""
        if isinstance(self.search_space, SearchSpace):
            value = self._plan(study, trial).get(param_name, _MISSING)
            if value is not _MISSING and allows(param_distribution, value):
                return value
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the plan of a trial that has ended."""
        with self._lock:
            self._plans.pop(trial.number, None)

    def reseed_rng(self) -> None:
        """Draw differently from now on (Optuna calls it in each process of a parallel study)."""
        self._random.reseed_rng()
        if self._memory is not None:
            self._memory.engine.rng = np.random.default_rng()

    def _plan(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """The parameters of the point chosen for `trial`."""
        with self._lock:
            if trial.number not in self._plans:
                if self._memory is None or self._memory.study_name != study.study_name:
                    self._memory = _Memory(self, study)
                with _blas().limit(limits=1, user_api="blas"):
                    self._plans[trial.number] = self._memory.next(study, trial.number, self._plans)
            return self._plans[trial.number]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_memory")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock(), _memory=None)


_MISSING = object()


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process: with the cores busy training, their threads would wait for one another."""
    return ThreadpoolController()


class _Memory:
    """What a sampler has read of one study, so that it reads each finished trial once."""

    def __init__(self, sampler: ParetoSampler, study: Study) -> None:
        self.study_name = study.study_name
        self.domain = sampler.domain
        count = len(study.directions)
        self.dear = _dear(sampler, count)
        self.signs = [1.0 if d == StudyDirection.MINIMIZE else -1.0 for d in study.directions]
        cheap = [_signed(sampler.cheap[index], self.signs[index]) for index in sorted(sampler.cheap)]
        order = (*sorted(sampler.cheap), *self.dear[1:])
        bounds = [self.signs[i] * sampler.limits[i] if i in sampler.limits else math.inf for i in order]
        primary = self.dear[0]
        least = -self.signs[primary] * sampler.limits[primary] if primary in sampler.limits else -math.inf
        self.engine: Engine[Any] = Engine(
            self.domain,
            cheap,
            sampler.features,
            others=len(self.dear) - 1,
            limits=bounds,
            least=least,
            feasible=sampler.feasible,
            seed=sampler.seed,
        )
        self.budget = sampler.budget
        self.attributes = [sampler.attributes.get(index, "") for index in self.dear[1:]]
        self.rows = _Rows()
        for params, value in sampler.prior:
            point = self.domain.point(params)
            if point is not None and math.isfinite(value):
                self.rows.add(point, [value] + [math.nan] * (len(self.dear) - 1), 1.0)
        self.seen: set[Hashable] = set()
        self._read = 0
        self._open: list[int] = []

    def next(self, study: Study, number: int, plans: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
        """The parameters of the next point; random ones once every point has been tried."""
        trials = study.get_trials(deepcopy=False)
        waiting = []
        for index in (*self._open, *range(self._read, len(trials))):
            if trials[index].state in UNFINISHED:
                waiting.append(index)
            else:
                self._take(trials[index])
        self._open, self._read = waiting, len(trials)
        pending, partly = {}, _Rows()
        for index in waiting:
            if index == number:
                continue
            params = {**trials[index].params, **trials[index].system_attrs.get("fixed_params", {})}
            point = self.domain.point(params or plans.get(index, {}))
            if point is not None:
                pending[self.domain.key(point)] = point
                self._add_steps(partly, trials[index], point)
        observed = self._observed(self.rows, partly)
        found = self.engine.suggest(observed, list(pending.values()), self.seen | pending.keys())
        return self.domain.params(self.domain.sample(self.engine.rng) if found is None else found)

    def _take(self, trial: FrozenTrial) -> None:
        """Read a finished trial."""
        point = self.domain.point(trial.params)
        if point is None:
            return
        self.seen.add(self.domain.key(point))
        self._add_steps(self.rows, trial, point)
        if trial.state == TrialState.COMPLETE and all(map(math.isfinite, trial.values)):
            self.rows.add(point, [trial.values[index] for index in self.dear], 0.0)

    def _add_steps(self, rows: _Rows, trial: FrozenTrial, point: Any) -> None:
        """Read what a trial reached before its training was whole."""
        if self.budget is None:
            return
        others = [float(trial.user_attrs.get(name, math.nan)) for name in self.attributes]
        for step, value in trial.intermediate_values.items():
            if 0 < step < self.budget and math.isfinite(value):
                rows.add(point, [value, *others], math.log(self.budget / step) / math.log(self.budget))

    def _observed(self, *parts: _Rows) -> Observed[Any]:
        values = np.array([row for rows in parts for row in rows.values]).reshape(-1, len(self.dear))
        table = values * np.array([self.signs[index] for index in self.dear])
        shortfall = np.array([one for rows in parts for one in rows.shortfall])
        return Observed([point for rows in parts for point in rows.points], -table[:, 0], table[:, 1:], shortfall)


@dataclass
class _Rows:
    """Observations in the study's own units: a value for each objective that is not cheap, NaN where it is not known."""

    points: list[Any] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    shortfall: list[float] = field(default_factory=list)

    def add(self, point: Any, values: list[float], shortfall: float) -> None:
        self.points.append(point)
        self.values.append(values)
        self.shortfall.append(shortfall)


def _dear(sampler: ParetoSampler, count: int) -> list[int]:
    """The objectives that are not cheap, the primary one first."""
    primary = [] if sampler.primary is None else [sampler.primary]
    for index in (*sampler.cheap, *sampler.limits, *primary):
        if not 0 <= index < count:
            rule = f"must name one of the study's {count} objectives by its index from 0"
            raise ValueError(f"cheap, limits, primary: {rule}, found {index}")
    dear = [index for index in range(count) if index not in sampler.cheap]
    if not dear:
        raise ValueError(f"cheap: must leave an objective that training measures, found all of {sorted(sampler.cheap)}")
    if primary and primary[0] not in dear:
        raise ValueError(f"primary: must be an objective that is not cheap, one of {dear}, found {primary[0]}")
    return sorted(dear, key=lambda index: index != primary[0]) if primary else dear


def _signed(function: Callable[[Any], float], sign: float) -> Callable[[Any], float]:
    return lambda given: sign * float(function(given))
