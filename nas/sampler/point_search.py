"""The search of one study for the points of one domain: reads its trials, keeps the models, and chooses points."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.sampler.domain import Domain
from nas.sampler.engine import Engine
from nas.sampler.optuna_adapter import share_plan
from nas.sampler.restriction import Restriction
from nas.sampler.study_reader import PointsSnapshot, StudyReader
from nas.sampler.wording import Wording

logger = logging.getLogger(__name__)

NUM_FIXED_CANDIDATES = 256  # new candidates where some parameters are given
NUM_ALTERNATIVES = 8  # points to choose from after another process has taken the best one
MAX_ATTEMPTS = 5  # to find a point that no other process takes at the same moment
MAX_RANDOM_DRAWS = 50  # random points drawn for one that may be proposed, once the candidates are used up


class PointSearch:
    """The search of a study for points of a domain.

    Args:
        domain: the points.
        engine: proposes points of the domain.
        reader: reads the study as points of the domain.
        wording: the words of warnings.
    """

    def __init__(self, domain: Domain[Any], engine: Engine[Any], reader: StudyReader, wording: Wording) -> None:
        self.domain, self.engine, self.reader, self.wording = domain, engine, reader, wording
        self._batch: deque[Any] = deque()  # points that were chosen and not proposed yet
        self._batch_expires = 0  # so many trials may have ended when its last point is proposed
        self._has_warned = False

    def choose(self, snapshot: PointsSnapshot, count: int, num_ended: int) -> Any:
        """The point to train next; None if no candidate is left.

        Args:
            snapshot: the points of the study.
            count: points that are chosen at once; the others are kept for the next calls.
            num_ended: the number of trials that have ended so far.
        """
        if not self._batch or num_ended > self._batch_expires:
            points = self._suggest(snapshot, count)
            # Of very many trials that run, some end while a batch is handed out: an eighth of them is no reason for another one.
            more_ended = max(len(points), len(snapshot.pending) // 8)
            self._batch, self._batch_expires = deque(points), num_ended + more_ended
        return self._batch.popleft() if self._batch else None

    def choose_fixed(self, snapshot: PointsSnapshot) -> Any:
        """The best point of those that the domain is fixed to; None if no candidate is one."""
        if not self.engine.pool.complete:
            self.engine.pool.add(self.domain.sample(self.engine.rng) for _ in range(NUM_FIXED_CANDIDATES))
        return next(iter(self._suggest(snapshot, 1)), None)

    def _suggest(self, snapshot: PointsSnapshot, count: int) -> list[Any]:
        tried = Restriction(snapshot.tried, self.engine.pool) if self.domain.is_fixed else snapshot.tried
        return self.engine.suggest_batch(snapshot.observations, snapshot.pending, tried, snapshot.infeasible, count)

    def settle(self, study: Study, trial: FrozenTrial, point: Any, plans: Mapping[int, Mapping[str, Any]]) -> Any:
        """`point`, or another one if another process has chosen it at the same moment.

        Each process writes what it has chosen and then reads what the others have written, so that of two with the same
        point at least the later one sees it.
        """
        rng = np.random.default_rng(trial.number)  # other numbers than those of another process with the same seed
        for attempt in range(MAX_ATTEMPTS):
            try:
                share_plan(study, trial, self.domain.to_params(point))
            except TypeError:  # JSON lacks a value of it
                return point
            snapshot = self.reader.read(study.get_trials(deepcopy=False), trial.number, plans)
            if self.domain.key(point) not in snapshot.tried:
                return point
            points = self._suggest(snapshot, NUM_ALTERNATIVES) if attempt == 0 else []
            point = points[int(rng.integers(len(points)))] if points else self.draw(snapshot)
        return point

    def draw(self, snapshot: PointsSnapshot) -> Any:
        """A random point, where no candidate is left: one that was not tried if one is found, else one that may be proposed."""
        rng, domain = self.engine.rng, self.domain
        for _ in range(MAX_RANDOM_DRAWS):
            point = domain.sample(rng)
            if domain.key(point) not in snapshot.tried and self._is_feasible(point):
                return point
        pool = self.engine.pool
        allowed = [i for i in np.nonzero(pool.feasible)[0].tolist() if domain.has_fixed(pool.points[i])]
        self._warn(self.wording.all_tried if allowed else self.wording.none_allowed)
        return pool.points[int(rng.choice(allowed))] if allowed else domain.sample(rng)

    def _is_feasible(self, point: Any) -> bool:
        extractor = self.engine.extractor
        return bool(extractor.feasible([point], extractor.function_values([point]))[0])

    def _warn(self, reason: str) -> None:
        """Say once that what is proposed was tried before or breaks a rule."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning("%s", self.wording.warning(reason))
