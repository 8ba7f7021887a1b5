"""Syne Tune's multi-objective regularised evolution.

Its expected hypervolume improvement (`ExpectedHyperVolumeImprovement`) is no rival: its reference point is fixed at 2 for all
objectives, in whatever units they are, so that most problems have no improvement at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.registry import SamplerContext
from search_suite.rivals.rows import Data, RowSampler
from search_suite.space import Floats

POPULATION = 20


class SyneTuneSampler(RowSampler):
    """`MultiObjectiveRegularizedEvolution` over levels of the parameters; points that fail are not told."""

    def __init__(self, context: SamplerContext) -> None:
        super().__init__(context)
        from syne_tune.config_space import choice, randint, uniform
        from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution

        domains: dict[str, Any] = {}
        for parameter in self.space.parameters:
            count = len(parameter.values)
            if count == 0:
                domains[parameter.name] = uniform(0.0, 1.0)
            else:
                domains[parameter.name] = randint(0, count - 1) if parameter.ordered else choice(list(range(count)))
        self.searcher = MultiObjectiveRegularizedEvolution(
            domains, points_to_evaluate=[], population_size=POPULATION, sample_size=10, random_seed=context.seed
        )
        self.handed: dict[int, dict[str, Any]] = {}

    def choose(self, data: Data, candidates: Floats) -> int:
        raise NotImplementedError

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        config = self.searcher.suggest()
        self.handed[trial.number] = config
        return self.space.params(np.array([float(config[name]) for name in self.space.names]))

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        config = self.handed.pop(trial.number, None)
        if config is not None and values is not None:
            losses = self._losses(values)
            if np.isfinite(losses).all():
                self.searcher.on_trial_complete(trial.number, config, losses.tolist())
