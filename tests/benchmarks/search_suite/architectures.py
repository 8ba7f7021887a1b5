"""Problems over a `SearchSpace` of the product: real architectures with exact MACs and parameters, and a made-up accuracy."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import Trial

from nas.analysis.front import hypervolume
from nas.objectives import Objective
from nas.objectives.costs import costs_of
from nas.sampler.registry import SamplerContext, SamplerObjective
from search_space import Architecture, SearchSpace
from search_suite.front import nondominated
from search_suite.problem import INFEASIBLE_ATTRIBUTE, Goal, bounds_of
from search_suite.responses import Measure
from search_suite.space import Floats, Rng

CHILDREN = 400
LOCAL_ROUNDS = 8


class ArchitectureProblem:
    """Accuracy against MACs, with parameters as a feature.

    Args:
        name: its name.
        search_space: the space.
        measure: the unit of quality.
        macs: the objective of that name.
        quality: of an architecture.
    """

    def __init__(
        self,
        name: str,
        search_space: SearchSpace,
        measure: Measure,
        macs: Objective,
        quality: Callable[[Architecture], float],
    ) -> None:
        self.name, self.search_space, self.measure, self.quality = name, search_space, measure, quality
        self.objectives: tuple[Objective, ...] = (measure.objective, macs)
        self.limits: tuple[float | None, ...] = (None, None)
        self.size = float(search_space.size)
        self._means: dict[str, Floats] = {}

    goal: Goal  # set by `search_suite.catalogue`, which keeps it in a file

    def find_goal(self, random_points: int = 3000, generations: int = 12) -> Goal:
        """Search the best front: mutations of the front, then all neighbours of it."""
        rng = np.random.default_rng(0)
        front = self._keep([self.search_space.sample(rng) for _ in range(random_points)])
        for _ in range(generations):
            parents = [front[int(rng.integers(len(front)))] for _ in range(CHILDREN // 10)]
            neighbours = [n for parent in parents for n in self.search_space.neighbours(parent)]
            chosen = rng.permutation(len(neighbours))[:CHILDREN]
            front = self._keep([*front, *(neighbours[i] for i in chosen)])
        searched: set[str] = set()
        for _ in range(LOCAL_ROUNDS):
            new = [architecture for architecture in front if architecture.id not in searched]
            if not new:
                break
            searched |= {architecture.id for architecture in new}
            front = self._keep([*front, *(n for a in new for n in self.search_space.neighbours(a))])
        values = np.array([self.means(architecture) for architecture in front])
        bounds = bounds_of(values, self.objectives, {})
        best = hypervolume(values, self.objectives, bounds)
        return Goal(self.objectives, self.limits, bounds, best, False)

    def _keep(self, architectures: list[Architecture]) -> list[Architecture]:
        """The front of `architectures`."""
        distinct = list({architecture.id: architecture for architecture in architectures}.values())
        values = np.array([self.means(architecture) for architecture in distinct]) * [-1.0, 1.0]
        on_front = {tuple(row) for row in nondominated(values)}
        return [a for a, row in zip(distinct, values, strict=True) if tuple(row) in on_front]

    def fingerprint(self) -> str:
        """A number that changes with the space and the values of the problem."""
        rng = np.random.default_rng(0)
        values = [self.means(self.search_space.sample(rng)) for _ in range(50)]
        return f"{zlib.crc32(repr((self.search_space.size, np.round(values, 6).tolist())).encode()):08x}"

    def context(self, seed: int) -> SamplerContext:
        objectives = tuple(
            SamplerObjective(
                item.name, item.direction, item.log, compute=(lambda a: float(costs_of(a).macs)) if item.cheap else None
            )
            for item in self.objectives
        )
        return SamplerContext(
            self.search_space,
            objectives,
            features=(lambda a: float(costs_of(a).params),),
            infeasible_attribute=INFEASIBLE_ATTRIBUTE,
            seed=seed,
        )

    def ask(self, study: Study) -> tuple[Trial, Architecture]:
        trial = study.ask()
        return trial, self.search_space.suggest(trial)

    def enqueue(self, study: Study, rng: Rng, tried: Mapping[Hashable, Any]) -> None:
        architecture = self.search_space.sample(rng)
        while architecture.id in tried:
            architecture = self.search_space.sample(rng)
        study.enqueue_trial(self.search_space.encode(architecture))

    def key(self, point: Architecture) -> str:
        return point.id

    def means(self, point: Architecture) -> Floats:
        if point.id not in self._means:
            quality = self.measure.of_quality(np.array([self.quality(point)]))[0]
            self._means[point.id] = np.array([quality, costs_of(point).macs])
        return self._means[point.id].copy()

    def train(self, point: Architecture, rng: Rng) -> Floats:
        values = self.means(point)
        values[0] = self.measure.noisy(values[0], 1.0, rng)
        return values
