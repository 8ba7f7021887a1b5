"""The observations in an Optuna study, of which each finished trial is read once.

Numbers are kept in arrays, and points are decoded when a model needs them (a few hundred at a time), so that neither the time
of a proposal nor the memory grows much with the study.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.bounded_cache import BoundedCache
from nas.sampler.domain import Domain
from nas.sampler.feasibility import MAX_INFEASIBLE
from nas.sampler.objective_models import Observations
from nas.sampler.observation_rows import LazyPoints, ObservationRows, UnionOfSets
from nas.sampler.optuna_adapter import enqueued_params, shared_plan

UNFINISHED_STATES = (TrialState.RUNNING, TrialState.WAITING)
MAX_DECODED_POINTS = 4000  # decoded points that are kept

CONSTRAINED_SHORTFALL = 1e-9
"""Of a complete training that violates a constraint: the models learn from it, and it is not on the front."""


@dataclass(frozen=True)
class PointsSnapshot:
    """The points of a study at one moment, as the engine needs them.

    Args:
        observations: the results of complete trainings and of those that were stopped early or still run.
        pending: points that are being trained.
        tried: keys of all points that were ever proposed.
        infeasible: the last points whose training failed, or violated a constraint, and would again.
    """

    observations: Observations[Any]
    pending: Sequence[Any]
    tried: AbstractSet[Hashable]
    infeasible: Sequence[Any]


@dataclass(frozen=True)
class ObjectiveSource:
    """Where the values of an objective are found.

    Args:
        index: of the objective in the values of a trial.
        sign: 1 if it is minimised, -1 if it is maximised.
        attribute: the user attribute with the value of a trial that is not complete; "" for none.
        log: its logarithm is what is minimised or maximised; values that have none count as not finite.
    """

    index: int
    sign: float
    attribute: str = ""
    log: bool = False

    def loss(self, value: float) -> float:
        """`value`, or its logarithm, to be minimised."""
        if not self.log:
            return self.sign * float(value)
        return self.sign * math.log(value) if value > 0 else math.nan

    def value(self, loss: float) -> float:
        """The inverse of `loss`."""
        return math.exp(self.sign * loss) if self.log else self.sign * loss

    def of_complete(self, trial: FrozenTrial) -> float:
        """The value of a complete trial, to be minimised."""
        return self.loss(trial.values[self.index])

    def of_any(self, trial: FrozenTrial) -> float:
        """The value in the attribute, to be minimised; NaN if there is none."""
        value = trial.user_attrs.get(self.attribute) if self.attribute else None
        return math.nan if value is None else self.loss(float(value))


class StudyReader:
    """Reads the trials of one study.

    Args:
        domain: the points.
        expensive: the objectives that need training, the primary one first.
        cheap: the objectives that are known before training.
        budget: the step of an intermediate value at which a training is complete; None: intermediate values are not read.
        prior: parameters and values of the primary objective from elsewhere.
        key_attribute: the user attribute with the key of a trial's point (`Domain.key`); None: the point is decoded for it.
        infeasible_attribute: the user attribute that a failed trial has if its point would fail again; None: every failed trial
            is taken to. So is one with a value that is not finite.
    """

    def __init__(
        self,
        domain: Domain[Any],
        expensive: Sequence[ObjectiveSource],
        cheap: Sequence[ObjectiveSource],
        budget: int | None,
        prior: Sequence[tuple[Mapping[str, Any], float]],
        key_attribute: str | None = None,
        infeasible_attribute: str | None = None,
    ) -> None:
        self.domain = domain
        self.primary, self.secondary = expensive[0], tuple(expensive[1:])
        self.cheap = tuple(cheap)
        self.budget = budget
        self.key_attribute = key_attribute
        self.infeasible_attribute = infeasible_attribute
        self._infeasible: dict[Hashable, Any] = {}  # the trial of each point, or the point itself
        self._trained: set[Hashable] = set()
        self._finished = self._empty_rows()
        self._tried: set[Hashable] = set()
        self._num_read = 0
        self._unfinished: list[int] = []
        self._first_ended: FrozenTrial | None = None
        self._ended: list[FrozenTrial] = []  # since the last call of `take_ended`
        self._points: BoundedCache[Hashable, Any] = BoundedCache(MAX_DECODED_POINTS)
        unknown = [math.nan] * (len(self.secondary) + len(self.cheap))
        for params, value in prior:
            point = domain.from_params(params)
            if point is not None and math.isfinite(loss := self.primary.loss(value)):
                self._finished.add(point, [loss, *unknown], 1.0)

    def follows(self, trials: Sequence[FrozenTrial]) -> bool:
        """True if `trials` are those of the study that was read so far, and not of another one of the same name and id."""
        first = self._first_ended
        if len(trials) < self._num_read:
            return False
        return first is None or (first.datetime_start, first.datetime_complete) == (
            trials[first.number].datetime_start,
            trials[first.number].datetime_complete,
        )

    def take_ended(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Read `trials`; returns those that have ended since the last call.

        Args:
            trials: all trials of the study, by their numbers.
        """
        self._take_in(trials)
        ended, self._ended = self._ended, []
        return ended

    def _take_in(self, trials: Sequence[FrozenTrial]) -> None:
        unfinished = []
        for index in (*self._unfinished, *range(self._num_read, len(trials))):
            trial = trials[index]
            if trial.state in UNFINISHED_STATES:
                unfinished.append(index)
                continue
            self._read_finished(trial)
            self._ended.append(trial)
            self._first_ended = self._first_ended or trial
        self._unfinished, self._num_read = unfinished, len(trials)

    def read(
        self, trials: Sequence[FrozenTrial], number: int, plans: Mapping[int, Mapping[str, Any]]
    ) -> PointsSnapshot:
        """The study as trial `number` sees it.

        Args:
            trials: all trials of the study, by their numbers.
            number: of the trial to propose a point for, which is not pending itself.
            plans: trial number -> the parameters planned for it, for trials that do not have them yet.
        """
        self._take_in(trials)
        pending, partial = {}, self._empty_rows()
        for index in self._unfinished:
            point = None if index == number else self._pending_point(trials[index], plans.get(index))
            if point is not None:
                pending[self.domain.key(point)] = point
                self._add_intermediate_values(partial, trials[index], point)
        observations = self._observations(self._finished, partial)
        infeasible = [self._decode(item) for item in list(self._infeasible.values())[-MAX_INFEASIBLE:]]
        return PointsSnapshot(
            observations, list(pending.values()), UnionOfSets(self._tried, pending.keys()), infeasible
        )

    def _pending_point(self, trial: FrozenTrial, plan: Mapping[str, Any] | None) -> Any:
        """The point that an unfinished trial has, or that is planned for it; None if it has none yet.

        What neither tells is random: a trial that has been suggested some of its parameters still counts as one.
        """
        params = {**(shared_plan(trial) if plan is None else plan), **trial.params, **enqueued_params(trial)}
        key = (trial.number, *params.items())
        try:
            known = key in self._points
        except TypeError:  # a value is not hashable
            key, known = (trial.number, repr(params)), False
        if not known:
            self._points.store(key, self.domain.complete(params, np.random.default_rng(trial.number)))
        return self._points[key]

    def refuse(self, point: Any) -> None:
        """Take `point` for one that no trial can have, although it was proposed."""
        key = self.domain.key(point)
        if key not in self._tried:
            self._tried.add(key)
            self._infeasible[key] = point

    def key_of(self, trial: FrozenTrial) -> Hashable | None:
        """The key of the point of a complete trial; None if its parameters are none of the domain."""
        key: Hashable | None = None if self.key_attribute is None else trial.user_attrs.get(self.key_attribute)
        if key is not None:
            return key
        point = self.domain.from_params(trial.params)
        return None if point is None else self.domain.key(point)

    def _read_finished(self, trial: FrozenTrial) -> None:
        is_complete = trial.state == TrialState.COMPLETE
        key = None if self.key_attribute is None else trial.user_attrs.get(self.key_attribute)
        item: Any = trial
        if key is None:
            item = point = self._point_of_finished(trial)
            if point is None:
                return
            key = self.domain.key(point)
            item = trial if is_complete else point
        self._tried.add(key)
        self._add_intermediate_values(self._finished, trial, item)
        sources = (self.primary, *self.secondary, *self.cheap)
        losses = [source.of_complete(trial) for source in sources] if is_complete else []
        is_finite = is_complete and all(map(math.isfinite, losses))
        is_feasible = keeps_constraints(trial)
        if is_finite:
            self._finished.add(item, losses, 0.0 if is_feasible else CONSTRAINED_SHORTFALL)
        if is_finite and is_feasible:
            self._trained.add(key)
            self._infeasible.pop(key, None)  # it failed by chance
        elif key not in self._trained and (not is_feasible or self._would_fail_again(trial)):
            self._infeasible[key] = item

    def _point_of_finished(self, trial: FrozenTrial) -> Any:
        """The point of a trial that has ended; one that ended early may lack parameters that others have."""
        if trial.state == TrialState.COMPLETE:
            return self.domain.from_params(trial.params)
        params = {**shared_plan(trial), **enqueued_params(trial), **trial.params}
        return self.domain.complete(params, np.random.default_rng(trial.number))

    def _would_fail_again(self, trial: FrozenTrial) -> bool:
        if trial.state == TrialState.COMPLETE:  # with a value that is not finite, which is a result
            return True
        if self.infeasible_attribute is not None:
            return bool(trial.user_attrs.get(self.infeasible_attribute))
        return trial.state == TrialState.FAIL

    def _add_intermediate_values(self, rows: ObservationRows, trial: FrozenTrial, item: Any) -> None:
        """Add what a trial had reached before its training was complete."""
        if self.budget is None:
            return
        for step, value in trial.intermediate_values.items():
            loss = self.primary.loss(value)
            if 0 < step < self.budget and math.isfinite(loss):
                known = [source.of_any(trial) for source in (*self.secondary, *self.cheap)]
                shortfall = math.log(self.budget / step) / math.log(self.budget)
                rows.add(item, [loss, *known], shortfall)

    def _empty_rows(self) -> ObservationRows:
        return ObservationRows(1 + len(self.secondary) + len(self.cheap))

    def _observations(self, *parts: ObservationRows) -> Observations[Any]:
        """The rows of all `parts`, with the primary objective maximised and the others minimised."""
        losses = np.concatenate([rows.table() for rows in parts])
        shortfall = np.concatenate([np.array(rows.shortfalls) for rows in parts])
        points = LazyPoints([rows.items for rows in parts], self._decode)
        secondary, cheap = np.split(losses[:, 1:], [len(self.secondary)], axis=1)
        return Observations(points, -losses[:, 0], secondary, shortfall, cheap)

    def _decode(self, item: Any) -> Any:
        """The point of an item of the rows: a trial, or the point itself."""
        if not isinstance(item, FrozenTrial):
            return item
        if item.number not in self._points:
            self._points.store(item.number, self.domain.from_params(item.params))
        return self._points[item.number]


def keeps_constraints(trial: FrozenTrial) -> bool:
    """True if `trial` keeps all its constraints, or has none."""
    return all(value <= 0 for value in trial.constraints.values()) if trial.system_attrs else True
