"""The search of one study: reads its trials, keeps the models, and proposes points."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.domain import Domain
from nas.sampler.engine import Engine
from nas.sampler.observed_space import ObservedSpace
from nas.sampler.optuna_adapter import is_shared
from nas.sampler.point_search import PointSearch
from nas.sampler.prediction import Expectations, Prediction
from nas.sampler.study_reader import ObjectiveSource, StudyReader, keeps_constraints
from nas.sampler.warp import CostGoal
from nas.sampler.wording import API_WORDING, Wording

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchOptions:
    """What a sampler was told of its search; see `nas.sampler.pareto.ParetoSampler` for what is not explained here.

    Args:
        domain: the points, if the space consists of architectures; None: of parameters.
        distributions: parameter -> distribution, if they are declared.
        seed: of all random draws.
        wording: the words of warnings.
    """

    domain: Domain[Any] | None
    distributions: Mapping[str, BaseDistribution] | None
    seed: int
    cheap: Mapping[int, Callable[[Any], float]] = field(default_factory=dict)
    primary: int | None = None
    features: Sequence[Callable[[Any], float]] = ()
    duration: Callable[[Any], float] | None = None
    feasible: Callable[[Any], bool] | None = None
    limits: Mapping[int, float] = field(default_factory=dict)
    reference: Mapping[int, float] = field(default_factory=dict)
    log: Collection[int] = ()
    budget: int | None = None
    attributes: Mapping[int, str] = field(default_factory=dict)
    prior: Sequence[tuple[Mapping[str, Any], float]] = ()
    key_attribute: str | None = None
    infeasible_attribute: str | None = None
    wording: Wording = API_WORDING


class StudySearch:
    """The search of one study.

    Args:
        options: what the sampler was told.
        study: the study.

    Raises:
        ValueError: an index is that of no objective, or no objective needs training.
    """

    def __init__(self, options: SearchOptions, study: Study) -> None:
        self.options = options
        self.plans: dict[int, Mapping[str, Any]] = {}
        """Trial that has not ended -> its planned parameters."""
        self.predictions: dict[int, Prediction] = {}
        """Trial that has not ended -> what the model expects of it."""
        self.num_ended = 0
        """The number of trials that have ended while this search was open."""
        self._signs = [1.0 if direction == StudyDirection.MINIMIZE else -1.0 for direction in study.directions]
        self._expensive = _expensive_objectives(options, len(self._signs))
        primary = self._expensive[0]
        attribute = options.attributes.get(primary, "")
        self._primary = ObjectiveSource(primary, self._signs[primary], attribute, primary in options.log)
        self._num_models = 0
        self._start()

    def _start(self) -> None:
        """Begin with a study of which nothing was read."""
        self.plans.clear()
        self.predictions.clear()
        self._space = ObservedSpace(self.options.distributions) if self.options.domain is None else None
        self._search: PointSearch | None = None  # None as long as no trial has shown a parameter

    def forget(self, number: int, params: Mapping[str, Any] | None) -> None:
        """Forget the plan of the trial `number`, which has ended.

        Args:
            number: of the trial.
            params: the parameters with which it is complete; None if it is not. Where the plan was another one, the objective
                did not ask for these values: no trial can have them.
        """
        plan = self.plans.pop(number, None)
        self.predictions.pop(number, None)
        self.num_ended += 1
        if self._space is None or self._search is None or params is None or not plan:
            return
        domain = self._search.domain
        planned, trained = domain.from_params(plan), domain.from_params(params)
        if planned is not None and trained is not None and planned != trained:
            self._search.reader.refuse(planned)

    def reseed(self, options: SearchOptions) -> None:
        """Draw differently from now on: by the seed of `options`."""
        self.options = options
        if self._search is not None:
            self._search.engine.rng = np.random.default_rng(options.seed)

    def propose(
        self,
        study: Study,
        trial: FrozenTrial,
        known: Mapping[str, Any],
        requested: Mapping[str, BaseDistribution],
        count: int,
    ) -> Mapping[str, Any]:
        """The parameters planned for `trial`; none as long as no trial has shown which parameters there are.

        Args:
            study: the study.
            trial: the trial.
            known: parameters of the trial that are not to be chosen.
            requested: parameters that it will have, besides those that other trials have.
            count: trials that are asked for at once.
        """
        if trial.number not in self.plans:
            trials = study.get_trials(deepcopy=False)
            if self._search is not None and not self._search.reader.follows(trials):
                logger.info("study %r was made anew", study.study_name)
                self._start()
            self._search = search = self._search_after(trials, requested)
            self.plans[trial.number] = {} if search is None else self._plan(search, study, trials, trial, known, count)
        return self.plans[trial.number]

    def expectations(self, study: Study) -> Expectations:
        """See `nas.sampler.pareto.ParetoSampler.expectations`; fits the models anew."""
        trials = study.get_trials(deepcopy=False)
        search = self._search_after(trials, {})
        if search is None:
            return Expectations(study.best_trials)
        snapshot = search.reader.read(trials, len(trials), {})  # as the next trial sees it
        expected = search.engine.expected_front(snapshot.observations)
        if expected is None:
            return Expectations(study.best_trials)
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and keeps_constraints(trial)]
        keys = {trial.number: search.reader.key_of(trial) for trial in complete}
        front = [deepcopy(trial) for trial in complete if keys[trial.number] in expected.keys]
        known = ((number, expected.values.get(key)) for number, key in keys.items())
        return Expectations(front, {number: self._prediction(value) for number, value in known if value is not None})

    def _search_after(
        self, trials: Sequence[FrozenTrial], requested: Mapping[str, BaseDistribution]
    ) -> PointSearch | None:
        """The search for points, of which a new one begins when `trials` show another space."""
        search, domain = self._search, self.options.domain
        if self._space is not None:
            ended = trials if search is None else search.reader.take_ended(trials)
            self._space.include(requested)
            self._space.read([trial for trial in ended if trial.state.is_finished()])
            domain = self._space.domain
        if domain is None or (search is not None and search.domain is domain):
            return search
        self._num_models += 1
        reader = self._create_reader(domain)
        reader.take_ended(trials)  # the space knows them
        return PointSearch(domain, self._create_engine(domain), reader, self.options.wording)

    def _create_engine(self, domain: Domain[Any]) -> Engine[Any]:
        options, signs = self.options, self._signs
        primary, secondary, cheap = self._expensive[0], self._expensive[1:], sorted(options.cheap)
        limits, references, seed = options.limits, options.reference, options.seed
        if self._num_models > 1:
            seed = int(np.random.SeedSequence([seed, self._num_models]).generate_state(1)[0])
        durations = () if options.duration is None else (options.duration,)
        functions = {id(f): _LastCall(f) for f in (*options.cheap.values(), *options.features, *durations)}
        return Engine(
            domain,
            [_with_sign(functions[id(options.cheap[index])], signs[index]) for index in cheap],
            [functions[id(feature)] for feature in options.features],
            None if options.duration is None else functions[id(options.duration)],
            [self._cost_goal(index) for index in cheap],
            [self._cost_goal(index) for index in secondary],
            primary_limit=-self._primary.loss(limits[primary]) if primary in limits else -math.inf,
            primary_reference=-self._primary.loss(references[primary]) if primary in references else -math.inf,
            feasible=options.feasible,
            seed=seed,
        )

    def _cost_goal(self, index: int) -> CostGoal:
        """What counts of an objective that is modelled as a cost, to be minimised."""
        options, sign = self.options, self._signs[index]
        limit, reference = (
            sign * told[index] if index in told else math.inf for told in (options.limits, options.reference)
        )
        return CostGoal(limit, reference, index in options.log)

    def _create_reader(self, domain: Domain[Any]) -> StudyReader:
        options = self.options

        def source(index: int) -> ObjectiveSource:
            return ObjectiveSource(index, self._signs[index], options.attributes.get(index, ""))

        return StudyReader(
            domain,
            [self._primary, *(source(index) for index in self._expensive[1:])],
            [source(index) for index in sorted(options.cheap)],
            options.budget,
            options.prior,
            options.key_attribute,
            options.infeasible_attribute,
        )

    def _plan(
        self,
        search: PointSearch,
        study: Study,
        trials: Sequence[FrozenTrial],
        trial: FrozenTrial,
        known: Mapping[str, Any],
        count: int,
    ) -> Mapping[str, Any]:
        """The parameters of the point for `trial`."""
        snapshot = search.reader.read(trials, trial.number, self.plans)
        with search.domain.fixed_to(known):
            if search.domain.is_fixed:
                point = search.choose_fixed(snapshot)
            else:
                point = search.choose(snapshot, count, self.num_ended)
            if point is None:
                point = search.draw(snapshot)
            elif self._space is not None and is_shared(study):
                point = search.settle(study, trial, point, self.plans)
        prediction = self._predict(search.engine, point)
        if prediction is not None:
            self.predictions[trial.number] = prediction
        return search.domain.to_params(point)

    def _predict(self, engine: Engine[Any], point: Any) -> Prediction | None:
        """The prediction of the primary objective in its own units and direction; the engine maximises."""
        predicted = engine.predict(point)
        return None if predicted is None else self._prediction(predicted)

    def _prediction(self, values: tuple[float, float, float]) -> Prediction:
        """The median and the ends that an engine returned."""
        median, *ends = (self._primary.value(-value) for value in values)
        return Prediction(self._primary.index, median, min(ends), max(ends))


def _expensive_objectives(options: SearchOptions, count: int) -> list[int]:
    """The indices of the objectives that are not cheap, the primary one first."""
    primary = [] if options.primary is None else [options.primary]
    for index in (*options.cheap, *options.limits, *options.reference, *options.log, *primary):
        if not 0 <= index < count:
            rule = f"must be indices, from 0, of the study's {count} objectives"
            raise ValueError(f"cheap, limits, reference, log, primary: {rule}, found {index}")
    expensive = [index for index in range(count) if index not in options.cheap]
    if not expensive:
        rule = "at least one objective must need training"
        raise ValueError(f"cheap: {rule}, found all of {sorted(options.cheap)}")
    if primary and primary[0] not in expensive:
        raise ValueError(f"primary: must be an objective that is not cheap, one of {expensive}, found {primary[0]}")
    return sorted(expensive, key=lambda index: index != primary[0]) if primary else expensive


class _LastCall:
    """A function that is not called again with the same argument as before: a cheap objective may be a feature, too."""

    def __init__(self, function: Callable[[Any], float]) -> None:
        self._function = function
        self._argument: Any = None
        self._value = math.nan

    def __call__(self, argument: Any) -> float:
        if argument is not self._argument:
            self._value, self._argument = float(self._function(argument)), argument
        return self._value


def _with_sign(function: Callable[[Any], float], sign: float) -> Callable[[Any], float]:
    return lambda argument: sign * float(function(argument))
