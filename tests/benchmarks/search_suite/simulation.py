"""A simulated search by one sampler on one problem, by the rules of `nas.bench.simulation`.

Beyond those: a training may fail, which counts as a training and leaves the attribute that tells samplers that the point
would fail again; infinite values are told as they are; a broken limit is told as a constraint of the trial; a sampler that
raises an error ends the search, whose share stays as it is.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna.trial import Trial, TrialState
from threadpoolctl import threadpool_limits

from nas.analysis.front import Volume
from nas.sampler.registry import find
from search_suite.problem import INFEASIBLE_ATTRIBUTE, Problem
from search_suite.space import Floats

MAX_REFUSALS_IN_A_ROW = 20


def tell(study: optuna.Study, trial: Trial, values: Floats | None) -> bool:
    """Tell `study` the result of a training: `values`, or a failure if one is not finite or there are none; True: values."""
    if values is None or not np.isfinite(values).all():
        trial.set_user_attr(INFEASIBLE_ATTRIBUTE, "no result")
        study.tell(trial, state=TrialState.FAIL)
        return False
    study.tell(trial, values.tolist())
    return True


@dataclass(frozen=True)
class Run:
    """The result of one search.

    Args:
        problem: the name of the problem.
        sampler: the name of the sampler.
        label: of the copy of the project whose sampler it is.
        workers: trainings at a time.
        seed: of the sampler, the durations and the noise.
        trainings: the number of trainings asked for.
        shares: the hypervolume after each training that ended, relative to the best front.
        failures: trainings that failed or gave infinite values.
        duplicates: proposals of points that were proposed before or that do not exist; they are not trained.
        drawn: points drawn at random because the sampler proposed none that was new.
        suggest_s: mean, 95 % quantile and largest of the seconds of CPU time of a suggestion.
        error: the error of the sampler; empty if there was none.
    """

    problem: str
    sampler: str
    label: str
    workers: int
    seed: int
    trainings: int
    shares: tuple[float, ...]
    failures: int
    duplicates: int
    drawn: int
    suggest_s: tuple[float, float, float]
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`."""
        return cls(**{**plain, "shares": tuple(plain["shares"]), "suggest_s": tuple(plain["suggest_s"])})

    @property
    def is_unsupported(self) -> bool:
        """True if the sampler raised an error before anything was trained: it does not take such a problem."""
        return bool(self.error) and max(self.shares, default=0.0) == 0

    @property
    def arm(self) -> str:
        """Sampler, label and workers, as tables show them."""
        workers = f" x{self.workers}" if self.workers > 1 else ""
        return f"{self.sampler}{'@' + self.label if self.label else ''}{workers}"


def simulate(problem: Problem, sampler: str, seed: int, trainings: int, *, workers: int = 1, label: str = "") -> Run:
    """Search `problem` until so many trainings have ended or all of its points are trained."""
    with threadpool_limits(limits=1):
        search = SimulatedSearch(problem, sampler, seed, workers)
        error = search.run(int(min(trainings, problem.size)))
    shares, times = search.shares, search.suggest_s or [0.0]
    padded = (*shares, *[shares[-1] if shares else 0.0] * (trainings - len(shares)))
    return Run(
        problem.name,
        sampler,
        label,
        workers,
        seed,
        trainings,
        tuple(round(float(share), 6) for share in padded),
        search.failures,
        search.duplicates,
        search.drawn,
        tuple(round(float(x), 5) for x in (np.mean(times), np.quantile(times, 0.95), max(times))),  # type: ignore[arg-type]
        error,
    )


class SimulatedSearch:
    """The state of a simulated search.

    Args:
        problem: what is searched.
        sampler: its name.
        seed: of the sampler, the durations and the noise.
        workers: trainings at a time.
    """

    def __init__(self, problem: Problem, sampler: str, seed: int, workers: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.problem, self.workers = problem, workers
        self.rng = np.random.default_rng([seed, workers])
        self.noise_rng = np.random.default_rng([seed, workers, 1])
        self.registered = find(sampler, "--samplers")
        self.context_seed = seed
        self.tried: dict[Hashable, Floats | None] = {}  # the values; None while a point is trained and where it failed
        self.volume = Volume(len(problem.goal.objectives))
        self.shares: list[float] = []
        self.suggest_s: list[float] = []
        self.failures = self.duplicates = self.drawn = 0

    @cached_property
    def study(self) -> optuna.Study:
        """The study of the search."""
        directions = [item.direction for item in self.problem.goal.objectives]
        sampler = self.registered.create(self.problem.context(self.context_seed))
        return optuna.create_study(directions=directions, sampler=sampler)

    def run(self, trainings: int) -> str:
        """Search; returns the error that ended it, or an empty text."""
        running: list[tuple[float, int, Trial, Any]] = []  # a heap: the time at which each ends
        now = 0.0
        try:
            while len(self.shares) < trainings:
                while len(running) < self.workers and len(self.suggest_s) < trainings:
                    start = time.process_time()
                    trial, point = self.propose()
                    self.suggest_s.append(time.process_time() - start)
                    heapq.heappush(running, (now + self.rng.uniform(0.5, 1.5), trial.number, trial, point))
                now, _, trial, point = heapq.heappop(running)
                self.train(trial, point)
        except Exception as error:  # a sampler may fail in any way; the comparison goes on
            return f"{type(error).__name__}: {error}"[:300]
        return ""

    def propose(self) -> tuple[Trial, Any]:
        """Start a trial at a point that was not tried before."""
        for _ in range(MAX_REFUSALS_IN_A_ROW):
            trial, point = self.problem.ask(self.study)
            key = self.problem.key(point)
            if key is not None and key not in self.tried:
                self.tried[key] = None
                return trial, point
            self.duplicates += 1
            known = None if key is None or not self.registered.learns_from_duplicates else self.tried[key]
            self._tell(trial, known)
        self.problem.enqueue(self.study, self.rng, self.tried)
        self.drawn += 1
        trial, point = self.problem.ask(self.study)
        key = self.problem.key(point)
        assert key is not None
        self.tried[key] = None
        return trial, point

    def train(self, trial: Trial, point: Any) -> None:
        """End the training of a trial that was proposed."""
        values: Floats | None = self.problem.train(point, self.noise_rng)
        if values is None or not np.isfinite(values).all():
            self.failures += 1
        else:
            self.volume.add(self.problem.goal.unit(self.problem.means(point)[None])[0])
        if values is None or np.isnan(values).any():
            values = None
            trial.set_user_attr(INFEASIBLE_ATTRIBUTE, "out of memory")
        else:
            self._set_constraints(trial, values)
        self._tell(trial, values)
        key = self.problem.key(point)
        assert key is not None
        self.tried[key] = values
        self.shares.append(self.volume.value / self.problem.goal.best)

    def _set_constraints(self, trial: Trial, values: Floats) -> None:
        goal = self.problem.goal
        for item, limit, value in zip(goal.objectives, goal.limits, values, strict=True):
            if limit is not None:
                trial.set_constraint(item.name, item.excess(float(value), limit))

    def _tell(self, trial: Trial, values: Floats | None) -> None:
        if values is None:
            self.study.tell(trial, state=TrialState.FAIL)
            return
        told = values.tolist()
        if self.registered.needs_log_values:
            pairs = zip(self.problem.goal.objectives, told, strict=True)
            told = [math.log10(value) if item.log and value > 0 else value for item, value in pairs]
        self.study.tell(trial, told)
