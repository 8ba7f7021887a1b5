"""pymoo's NSGA-II, AGE-MOEA-II and SMS-EMOA with choices of mixed kinds; a population is handed out point by point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.registry import SamplerContext
from search_suite.rivals.rows import Data, RowSampler
from search_suite.space import Floats

POPULATION = 20


class PymooSampler(RowSampler):
    """An algorithm of pymoo. Points that fail get the worst values so far.

    Args:
        context: the search.
        algorithm: "nsga2", "age2" or "sms".
    """

    def __init__(self, context: SamplerContext, algorithm: str) -> None:
        super().__init__(context)
        from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating, MixedVariableSampling
        from pymoo.core.problem import Problem
        from pymoo.core.variable import Choice, Integer, Real

        variables: dict[str, Any] = {}
        for parameter in self.space.parameters:
            if isinstance(parameter.distribution, FloatDistribution):
                variables[parameter.name] = Real(bounds=(0.0, 1.0))
            elif parameter.ordered:
                variables[parameter.name] = Integer(bounds=(0, len(parameter.values) - 1))
            else:
                variables[parameter.name] = Choice(options=list(range(len(parameter.values))))
        self.problem = Problem(vars=variables, n_obj=len(context.objectives))
        self.algorithm = _algorithm(algorithm)(
            pop_size=POPULATION,
            sampling=MixedVariableSampling(),
            mating=MixedVariableMating(eliminate_duplicates=MixedVariableDuplicateElimination()),
            eliminate_duplicates=MixedVariableDuplicateElimination(),
        )
        self.algorithm.setup(self.problem, termination=("n_gen", 100_000), seed=context.seed, verbose=False)
        self.waiting: list[Any] = []  # individuals that were not handed out
        self.handed: dict[int, Any] = {}  # trial -> individual
        self.ended: list[Any] = []
        self.population: Any = None

    def choose(self, data: Data, candidates: Floats) -> int:
        raise NotImplementedError

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not self.waiting and not self.handed:
            if self.population is not None:
                self.algorithm.tell(infills=self.population)
            self.population = self.algorithm.ask()
            self.waiting = list(self.population)
        if not self.waiting:  # others of this generation are still trained
            return self.space.params(self.space.sample(self.rng, 1)[0])
        individual = self.waiting.pop(0)
        self.handed[trial.number] = individual
        row = [float(individual.X[name]) for name in self.space.names]
        return self.space.params(np.array(row))

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        individual = self.handed.pop(trial.number, None)
        if individual is not None:
            losses = self._losses(values) if values is not None else np.full(len(self.signs), 1e6)
            individual.F = np.where(np.isfinite(losses), losses, 1e6)
            individual.evaluated.update({"F", "G", "H"})
            individual.G = individual.H = np.empty(0)


def _algorithm(name: str) -> Any:
    if name == "nsga2":
        from pymoo.algorithms.moo.nsga2 import NSGA2

        return NSGA2
    if name == "age2":
        from pymoo.algorithms.moo.age2 import AGEMOEA2

        return AGEMOEA2
    from pymoo.algorithms.moo.sms import SMSEMOA

    return SMSEMOA
