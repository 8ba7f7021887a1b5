"""The observations in an Optuna study, of which each finished trial is read once."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.domain import Domain
from nas.sampler.objective_models import Observations
from nas.sampler.optuna_adapter import enqueued_params

UNFINISHED_STATES = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True)
class StudySnapshot:
    """A study as the engine needs it.

    Args:
        observations: the results of complete trainings and of those that were stopped early or still run.
        pending: points that are being trained.
        tried: keys of all points that were ever proposed.
    """

    observations: Observations[Any]
    pending: Sequence[Any]
    tried: set[Hashable]


class StudyReader:
    """Reads the trials of one study.

    Args:
        domain: the points.
        expensive: indices of the objectives that need training, the primary one first.
        signs: of each objective, 1 if it is minimised, -1 if it is maximised.
        budget: the step of an intermediate value at which a training is complete; None: intermediate values are not read.
        attributes: for each expensive objective but the primary one, the user attribute with its value; "" for none.
        prior: parameters and values of the primary objective from elsewhere.
    """

    def __init__(
        self,
        domain: Domain[Any],
        expensive: Sequence[int],
        signs: Sequence[float],
        budget: int | None,
        attributes: Sequence[str],
        prior: Sequence[tuple[Mapping[str, Any], float]],
    ) -> None:
        self.domain = domain
        self.expensive = tuple(expensive)
        self.signs = np.array([signs[index] for index in expensive])
        self.budget = budget
        self.attributes = tuple(attributes)
        self._finished = _ObservationRows()
        self._tried: set[Hashable] = set()
        self._num_read = 0
        self._unfinished: list[int] = []
        for params, value in prior:
            point = domain.from_params(params)
            if point is not None and math.isfinite(value):
                self._finished.add(point, [value] + [math.nan] * (len(expensive) - 1), 1.0)

    def read(self, study: Study, number: int, plans: Mapping[int, Mapping[str, Any]]) -> StudySnapshot:
        """The study as trial `number` sees it.

        Args:
            study: the study.
            number: of the trial to propose a point for, which is not pending itself.
            plans: trial number -> the parameters planned for it, for trials that do not have them yet.
        """
        trials = study.get_trials(deepcopy=False)
        unfinished = []
        for index in (*self._unfinished, *range(self._num_read, len(trials))):
            if trials[index].state in UNFINISHED_STATES:
                unfinished.append(index)
            else:
                self._read_finished(trials[index])
        self._unfinished, self._num_read = unfinished, len(trials)
        pending, partial = {}, _ObservationRows()
        for index in unfinished:
            if index == number:
                continue
            params = {**trials[index].params, **enqueued_params(trials[index])}
            point = self.domain.from_params(params or plans.get(index, {}))
            if point is not None:
                pending[self.domain.key(point)] = point
                self._add_intermediate_values(partial, trials[index], point)
        observations = self._observations(self._finished, partial)
        return StudySnapshot(observations, list(pending.values()), self._tried | pending.keys())

    def _read_finished(self, trial: FrozenTrial) -> None:
        point = self.domain.from_params(trial.params)
        if point is None:
            return
        self._tried.add(self.domain.key(point))
        self._add_intermediate_values(self._finished, trial, point)
        if trial.state == TrialState.COMPLETE and all(map(math.isfinite, trial.values)):
            self._finished.add(point, [trial.values[index] for index in self.expensive], 0.0)

    def _add_intermediate_values(self, rows: _ObservationRows, trial: FrozenTrial, point: Any) -> None:
        """Add what a trial had reached before its training was complete."""
        if self.budget is None:
            return
        secondary = [float(trial.user_attrs.get(name, math.nan)) for name in self.attributes]
        for step, value in trial.intermediate_values.items():
            if 0 < step < self.budget and math.isfinite(value):
                rows.add(point, [value, *secondary], math.log(self.budget / step) / math.log(self.budget))

    def _observations(self, *parts: _ObservationRows) -> Observations[Any]:
        """The rows of all `parts`, with the primary objective maximised and the others minimised."""
        values = np.array([row for rows in parts for row in rows.values]).reshape(-1, len(self.expensive))
        losses = values * self.signs
        shortfall = np.array([shortfall for rows in parts for shortfall in rows.shortfalls])
        points = [point for rows in parts for point in rows.points]
        return Observations(points, -losses[:, 0], losses[:, 1:], shortfall)


@dataclass
class _ObservationRows:
    """Observations in the units of the study: a value per expensive objective, NaN where unknown."""

    points: list[Any] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    shortfalls: list[float] = field(default_factory=list)

    def add(self, point: Any, values: list[float], shortfall: float) -> None:
        self.points.append(point)
        self.values.append(values)
        self.shortfalls.append(shortfall)
