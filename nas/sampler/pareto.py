"""`ParetoSampler`: multi-objective search in which some objectives are known before training.

    study = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=ParetoSampler(search_space={"k": CategoricalDistribution([3, 5, 7]), ...}, cheap={1: macs_of_params}, seed=0),
    )

An ordinary Optuna sampler. As long as there are untried points it proposes no point twice, whatever the state of the first
trial (complete, failed, pruned, running elsewhere).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from nas.sampler.architecture_domain import ArchitectureDomain
from nas.sampler.batching import MAX_BATCH
from nas.sampler.domain import Domain
from nas.sampler.engine import Engine
from nas.sampler.optuna_adapter import contains, enqueued_params
from nas.sampler.parameter_domain import ParameterDomain
from nas.sampler.prediction import Prediction
from nas.sampler.study_reader import ObjectiveSource, StudyReader
from search_space import SearchSpace

_MISSING = object()


class ParetoSampler(BaseSampler):
    """The cost-aware Pareto sampler.

    Args:
        search_space: parameter -> distribution, or a `search_space.SearchSpace`, whose `suggest(trial)` the objective calls.
        cheap: objective index -> a function that gives the value before training. Its argument is the parameters
            (name -> value), or the architecture where the space is a `SearchSpace`.
        primary: index of the objective that training is for (accuracy); by default the first that is not cheap. Any others
            that are not cheap are modelled too, but only their predicted means are used.
        features: functions that give further numbers known before training, such as the parameters of a network.
        feasible: a function that gives False for points that must not be proposed.
        limits: objective index -> its worst value allowed.
        budget: the step of a trial's intermediate values (of the primary objective) at which its training is complete, such
            as the number of epochs. With it the sampler also learns from trials that were stopped, are paused or run.
        attributes: objective index -> the user attribute that has the value of a trial before it is complete.
        prior: parameters and values of the primary objective from elsewhere (another data set, a shorter training). They
            inform the model; they are neither on the front nor counted as tried.
        key_attribute: the user attribute with the id of a trial's architecture, where the space is a `SearchSpace`; with it
            trials need not be decoded to know which points were tried.
        infeasible_attribute: the user attribute that a failed trial has if the same point would fail again (out of memory);
            the sampler learns which points are likely to.
        seed: of all random draws.

    Raises:
        ValueError: the search space is empty; at the first trial of a study: an index is that of no objective, or no
            objective needs training.
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
        key_attribute: str | None = None,
        infeasible_attribute: str | None = None,
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
        self.key_attribute = key_attribute
        self.infeasible_attribute = infeasible_attribute
        self.seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        if isinstance(search_space, SearchSpace):
            self.domain: Domain[Any] = ArchitectureDomain(search_space)
        else:
            self.domain = ParameterDomain(search_space)
        self._random = RandomSampler(seed=self.seed)
        self._lock = threading.RLock()
        self._search: _StudySearch | None = None
        self._plans: dict[int, dict[str, Any]] = {}
        self._predictions: dict[int, Prediction] = {}
        self._expected = 1  # trials that are asked for at once
        self._num_ended = 0

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The whole space of fixed parameters; nothing for a `SearchSpace`, whose decisions depend on one another."""
        if isinstance(self.search_space, SearchSpace):
            return {}
        return {name: distribution for name, distribution in self.search_space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of the point to train next."""
        if not search_space or set(search_space) <= set(enqueued_params(trial)):
            return {}
        plan = self._plan(study, trial)
        return {name: plan[name] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The planned value of a parameter; a random one of a parameter that the search space does not hold."""
        if isinstance(self.search_space, SearchSpace):
            value = self._plan(study, trial).get(param_name, _MISSING)
            if value is not _MISSING and contains(param_distribution, value):
                return value
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the plan of a trial that has ended."""
        with self._lock:
            self._plans.pop(trial.number, None)
            self._predictions.pop(trial.number, None)
            self._num_ended += 1

    def prediction(self, number: int) -> Prediction | None:
        """What the model expected of the point that was chosen for the trial `number`, which has not ended.

        None for points that no model chose: the first ones, random and enqueued ones. Costs no random draw.
        """
        return self._predictions.get(number)

    def expect(self, count: int) -> None:
        """Expect that `count` trials are asked for at once; see `nas.sampler.batching`."""
        with self._lock:
            self._expected = max(1, min(count, MAX_BATCH))

    def reseed_rng(self) -> None:
        """Draw differently from now on (Optuna calls it in each process of a parallel study)."""
        self._random.reseed_rng()
        if self._search is not None:
            self._search.engine.rng = np.random.default_rng()

    def _plan(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """The parameters of the point chosen for `trial`."""
        with self._lock:
            if trial.number not in self._plans:
                if self._search is None or self._search.study_name != study.study_name:
                    self._search = _StudySearch(self, study)
                with _blas().limit(limits=1, user_api="blas"):
                    self._plans[trial.number], prediction = self._search.propose(
                        study, trial.number, self._plans, self._expected, self._num_ended
                    )
                if prediction is not None:
                    self._predictions[trial.number] = prediction
            return self._plans[trial.number]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_search")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock(), _search=None)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process, to limit them to one thread: while all cores train, more would wait for one another."""
    return ThreadpoolController()


class _StudySearch:
    """The search of one study: reads its trials and proposes points."""

    def __init__(self, sampler: ParetoSampler, study: Study) -> None:
        self.study_name = study.study_name
        self.domain = sampler.domain
        signs = [1.0 if direction == StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
        expensive = _expensive_objectives(sampler, len(signs))
        primary, secondary, cheap = expensive[0], expensive[1:], sorted(sampler.cheap)
        limits = sampler.limits
        self.primary, self.primary_sign = primary, signs[primary]
        self.engine: Engine[Any] = Engine(
            self.domain,
            [_with_sign(sampler.cheap[index], signs[index]) for index in cheap],
            sampler.features,
            num_secondary=len(secondary),
            limits=[signs[i] * limits[i] if i in limits else math.inf for i in (*cheap, *secondary)],
            primary_limit=-signs[primary] * limits[primary] if primary in limits else -math.inf,
            feasible=sampler.feasible,
            seed=sampler.seed,
        )

        def source(index: int) -> ObjectiveSource:
            return ObjectiveSource(index, signs[index], sampler.attributes.get(index, ""))

        self.reader = StudyReader(
            self.domain,
            [source(index) for index in expensive],
            [source(index) for index in cheap],
            sampler.budget,
            sampler.prior,
            sampler.key_attribute,
            sampler.infeasible_attribute,
        )
        self._batch: deque[Any] = deque()  # points that were chosen and not proposed yet
        self._batch_expires = 0  # so many trials may have ended when its last point is proposed

    def propose(
        self, study: Study, number: int, plans: Mapping[int, Mapping[str, Any]], count: int, num_ended: int
    ) -> tuple[dict[str, Any], Prediction | None]:
        """The parameters of the point for trial `number`, and its prediction; random ones once every point has been tried.

        Args:
            study: the study.
            number: of the trial.
            plans: trial number -> its planned parameters.
            count: trials that are asked for at once.
            num_ended: the number of trials that have ended so far.
        """
        if not self._batch or num_ended > self._batch_expires:
            snapshot = self.reader.read(study, number, plans)
            points = self.engine.suggest_batch(
                snapshot.observations, snapshot.pending, snapshot.tried, snapshot.infeasible, count
            )
            # Of very many trials that run, some end while a batch is handed out: an eighth of them is no reason for another one.
            more_ended = max(len(points), len(snapshot.pending) // 8)
            self._batch, self._batch_expires = deque(points), num_ended + more_ended
        if not self._batch:
            return self.domain.to_params(self.domain.sample(self.engine.rng)), None
        point = self._batch.popleft()
        return self.domain.to_params(point), self._predict(point)

    def _predict(self, point: Any) -> Prediction | None:
        """The prediction of the primary objective in its own units and direction; the engine maximises."""
        predicted = self.engine.predict(point)
        if predicted is None:
            return None
        median, *ends = (-self.primary_sign * value for value in predicted)
        return Prediction(self.primary, median, min(ends), max(ends))


def _expensive_objectives(sampler: ParetoSampler, count: int) -> list[int]:
    """The indices of the objectives that are not cheap, the primary one first."""
    primary = [] if sampler.primary is None else [sampler.primary]
    for index in (*sampler.cheap, *sampler.limits, *primary):
        if not 0 <= index < count:
            rule = f"must be indices, from 0, of the study's {count} objectives"
            raise ValueError(f"cheap, limits, primary: {rule}, found {index}")
    expensive = [index for index in range(count) if index not in sampler.cheap]
    if not expensive:
        rule = "at least one objective must need training"
        raise ValueError(f"cheap: {rule}, found all of {sorted(sampler.cheap)}")
    if primary and primary[0] not in expensive:
        raise ValueError(f"primary: must be an objective that is not cheap, one of {expensive}, found {primary[0]}")
    return sorted(expensive, key=lambda index: index != primary[0]) if primary else expensive


def _with_sign(function: Callable[[Any], float], sign: float) -> Callable[[Any], float]:
    return lambda argument: sign * float(function(argument))
