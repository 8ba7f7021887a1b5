"""`ParetoSampler`: multi-objective search in which some objectives are known before training.

    study = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=ParetoSampler(search_space={"k": CategoricalDistribution([3, 5, 7]), ...}, cheap={1: macs_of_params}, seed=0),
    )

The class is the face to Optuna. It gives each study to a `StudySearch`, which reads its trials and asks an `Engine` for the point
to train next (`nas.sampler` says what is where).

An ordinary Optuna sampler. As long as there are untried points it proposes no point twice, whatever the state of the first
trial (complete, failed, pruned, running elsewhere).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from nas.sampler.batching import MAX_BATCH
from nas.sampler.domain import Domain
from nas.sampler.optuna_adapter import contains, enqueued_params, fixed_params, storage_of, study_id_of
from nas.sampler.parameter_domain import ParameterDomain
from nas.sampler.prediction import Expectations, Prediction
from nas.sampler.study_search import SearchOptions, StudySearch
from nas.sampler.wording import Wording

if TYPE_CHECKING:
    from search_space import SearchSpace

_MISSING = object()


class ParetoSampler(BaseSampler):
    """The cost-aware Pareto sampler.

    Args:
        search_space: parameter -> distribution, or a `search_space.SearchSpace`, whose `suggest(trial)` the objective calls.
            By default the trials show it: the first one is random.
        cheap: objective index -> a function that gives the value before training. Its argument is the parameters
            (name -> value), or the architecture where the space is a `SearchSpace`.
        primary: index of the objective that training is for (accuracy); by default the first that is not cheap. Any others
            that are not cheap are modelled, too; their uncertainty counts likewise.
        features: functions that give further numbers known before training, such as the parameters of a network.
        duration: a function that gives the time that a trial will take, in any unit, above 0; points are then chosen by their
            expected improvement per time. By default all take as long.
        feasible: a function that gives False for points that must not be proposed.
        limits: objective index -> its worst value allowed.
        reference: objective index -> its value at the reference point; worse values do not count. By default it is the worst of
            the objective that needs training, and a tenth of its range beyond the highest of a cost.
        log: indices of objectives of which ratios matter rather than differences, such as a loss over several decades. All values
            must be positive.
        budget: the step of a trial's intermediate values (of the primary objective) at which its training is complete, such
            as the number of epochs. With it the sampler also learns from trials that were stopped, are paused or run.
        attributes: objective index -> the user attribute that has the value of a trial before it is complete.
        prior: parameters and values of the primary objective from elsewhere (another data set, a shorter training). They
            inform the model; they are neither on the front nor counted as tried.
        key_attribute: the user attribute with the id of a trial's architecture, where the space is a `SearchSpace`; with it
            trials need not be decoded to know which points were tried.
        infeasible_attribute: the user attribute that a failed trial has if the same point would fail again (out of memory);
            the sampler learns which points are likely to. By default it takes every failure for one. Infinite values always
            count.
        seed: of all random draws.

    Raises:
        ValueError: the search space is empty; at the first trial of a study: an index is that of no objective, or no
            objective needs training.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution] | SearchSpace | None = None,
        cheap: Mapping[int, Callable[[Any], float]] | None = None,
        *,
        primary: int | None = None,
        features: Sequence[Callable[[Any], float]] = (),
        duration: Callable[[Any], float] | None = None,
        feasible: Callable[[Any], bool] | None = None,
        limits: Mapping[int, float] | None = None,
        reference: Mapping[int, float] | None = None,
        log: Collection[int] = (),
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
        self.duration = duration
        self.feasible = feasible
        self.limits = dict(limits or {})
        self.reference = dict(reference or {})
        self.log = tuple(log)
        self.budget = budget
        self.attributes = dict(attributes or {})
        self.prior = tuple(prior)
        self.key_attribute = key_attribute
        self.infeasible_attribute = infeasible_attribute
        self._options = self._collect_options(_draw_seed(seed))
        self._random = RandomSampler(seed=self._options.seed)
        self._expected = 1  # trials that are asked for at once
        self._lock = threading.RLock()
        self._forget_studies()

    def _collect_options(self, seed: int) -> SearchOptions:
        """What a search has to know.

        Raises:
            ValueError, TypeError: the search space is none.
        """
        space = self.search_space
        if isinstance(space, Mapping):
            ParameterDomain(space)  # refuses what is no search space
        return SearchOptions(
            domain=None if space is None or isinstance(space, Mapping) else _architecture_domain(space),
            distributions=space if isinstance(space, Mapping) else None,
            seed=seed,
            cheap=self.cheap,
            primary=self.primary,
            features=self.features,
            duration=self.duration,
            feasible=self.feasible,
            limits=self.limits,
            reference=self.reference,
            log=self.log,
            budget=self.budget,
            attributes=self.attributes,
            prior=self.prior,
            key_attribute=self.key_attribute,
            infeasible_attribute=self.infeasible_attribute,
        )

    def _forget_studies(self) -> None:
        self._searches: WeakKeyDictionary[BaseStorage, dict[int, StudySearch]] = WeakKeyDictionary()
        self._last: StudySearch | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The declared parameters; none if they depend on one another, or only the trials show them."""
        distributions = self._options.distributions or {}
        return {name: distribution for name, distribution in distributions.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of the point to train next; of a parameter that it does not have, none."""
        if not search_space or set(search_space) <= set(enqueued_params(trial)):
            return {}
        plan = self._plan(study, trial, search_space)
        return {name: plan[name] for name in search_space if name in plan}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The planned value of a parameter; a random one of a parameter that the point does not have."""
        value = self._plan(study, trial, {}).get(param_name, _MISSING)
        if value is not _MISSING and contains(param_distribution, value):
            return value
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the plan of a trial that has ended."""
        with self._lock:
            search = self._searches.get(storage_of(study), {}).get(study_id_of(study))
            if search is not None:
                search.forget(trial.number, trial.params if state == TrialState.COMPLETE else None)

    def prediction(self, number: int) -> Prediction | None:
        """What the model expected of the point that was chosen for the trial `number`, which has not ended.

        None for points that no model chose: the first ones, random and enqueued ones. Of several studies, the trial is one of
        that for which a point was chosen last. Costs no random draw.
        """
        return None if self._last is None else self._last.predictions.get(number)

    def expected_front(self, study: Study) -> list[FrozenTrial]:
        """The complete trials that the model expects on the Pareto front if each objective were known without noise.

        Trainings of one network differ from seed to seed, so that `study.best_trials` has lucky ones, which hide better networks.
        Here the objectives that need training count with what the model expects of them given all trials. Where results are
        exact, `study.best_trials` is right. As long as there are too few results for a model, it is returned.

        Costs no random draw, and seconds with hundreds of trials: the models are fitted anew.
        """
        return list(self.expectations(study).front)

    def expectations(self, study: Study) -> Expectations:
        """`expected_front`, and the values of the primary objective that the model expects of single trials."""
        with self._lock, _blas().limit(limits=1, user_api="blas"):
            return StudySearch(self._options, study).expectations(study)

    def expect(self, count: int) -> None:
        """Expect that `count` trials are asked for at once; see `nas.sampler.batching`."""
        with self._lock:
            self._expected = max(1, min(count, MAX_BATCH))

    def use_wording(self, wording: Wording) -> None:
        """Warn in these words from the next study on."""
        with self._lock:
            self._options = replace(self._options, wording=wording)

    def reseed_rng(self) -> None:
        """Draw differently from now on (Optuna calls it in each thread or process of a parallel study)."""
        with self._lock:
            self._random.reseed_rng()
            self._options = replace(self._options, seed=_draw_seed(None))
            for searches in self._searches.values():
                for search in searches.values():
                    search.reseed(self._options)

    def _search_of(self, study: Study) -> StudySearch:
        searches = self._searches.setdefault(storage_of(study), {})
        study_id = study_id_of(study)
        if study_id not in searches:
            searches[study_id] = StudySearch(self._options, study)
        return searches[study_id]

    def _plan(self, study: Study, trial: FrozenTrial, requested: Mapping[str, BaseDistribution]) -> Mapping[str, Any]:
        """The parameters of the point chosen for `trial`."""
        with self._lock:
            search = self._last = self._search_of(study)
            known = {**fixed_params(study.sampler), **enqueued_params(trial), **trial.params}
            with _blas().limit(limits=1, user_api="blas"):
                return search.propose(study, trial, known, requested, self._expected)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_searches", "_last")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())
        self._forget_studies()


def _architecture_domain(space: SearchSpace) -> Domain[Any]:
    """The domain of `space`. It is imported here since everything else of the sampler needs Optuna only."""
    from nas.sampler.architecture_domain import ArchitectureDomain

    return ArchitectureDomain(space)


def _draw_seed(seed: int | None) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The BLAS libraries of this process, to limit them to one thread: while all cores train, more would wait for one another."""
    return ThreadpoolController()
