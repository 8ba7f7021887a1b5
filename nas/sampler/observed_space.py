"""The search space that the trials of a study show: which parameters there are, their values, and when a trial has them.

In define-by-run nobody declares a space: an objective asks for one parameter after the other. Its trials tell them all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.sampler.conditions import ALWAYS, Conditions, Levels, learn_conditions
from nas.sampler.parameter_domain import ParameterDomain

MAX_ROWS = 500
"""The trials from which conditions are learned."""

RELEARN_GROWTH = 1.1
"""The factor by which the trials grow before conditions that were wrong are learned again; of the first few after each one."""

FEW_TRIALS = 30


class ObservedSpace:
    """The space, as far as the trials read so far show it.

    Args:
        declared: parameter -> distribution; None for define-by-run. Of a declared space only the conditions are learned.
    """

    def __init__(self, declared: Mapping[str, BaseDistribution] | None) -> None:
        self._is_declared = declared is not None
        self._distributions: dict[str, BaseDistribution] = dict(declared or {})
        self._conditions = ALWAYS
        self._complete: list[Mapping[str, Any]] = []
        self._exceptions: list[int] = []  # indices of those that do not agree with the conditions
        self._learned_on = 0
        self.domain: ParameterDomain | None = None
        """The space as a domain; another one whenever the space has changed; None as long as there is no parameter."""
        if declared is not None:
            self.domain = ParameterDomain(declared)

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Learn from `trials` that have ended."""
        for trial in trials:
            self.include(trial.distributions)
            if trial.state == TrialState.COMPLETE and trial.params:
                if self._disagrees(trial.params):
                    self._exceptions.append(len(self._complete))
                self._complete.append(trial.params)
        if len(self._exceptions) > MAX_ROWS:
            del self._exceptions[: -MAX_ROWS // 2]
        if self._exceptions and self._may_learn():
            self._learn()

    def include(self, distributions: Mapping[str, BaseDistribution]) -> None:
        """Extend the space by `distributions`, unless it is declared."""
        if self._is_declared:
            return
        known = self._distributions
        merged = {
            name: merge(known[name], distribution) if name in known else distribution
            for name, distribution in distributions.items()
            if known.get(name) != distribution
        }
        changed = {name: distribution for name, distribution in merged.items() if known.get(name) != distribution}
        if changed:
            known.update(changed)
            self._conditions, self._learned_on = ALWAYS, 0
            self.domain = ParameterDomain(known)
            start = max(0, len(self._complete) - MAX_ROWS)
            self._exceptions = [i for i in range(start, len(self._complete)) if self._disagrees(self._complete[i])]

    def _disagrees(self, params: Mapping[str, Any]) -> bool:
        if not self._conditions.trees and self._distributions.keys() <= params.keys():
            return False
        point = None if self.domain is None else self.domain.from_params(params)
        return point is not None and not self._conditions.agrees(point)

    def _may_learn(self) -> bool:
        count = len(self._complete)
        return count <= FEW_TRIALS or count >= RELEARN_GROWTH * self._learned_on

    def _learn(self) -> None:
        self._learned_on = len(self._complete)
        stride = max(1, len(self._complete) // MAX_ROWS)
        domain = ParameterDomain(self._distributions)
        indices = sorted({*range(0, len(self._complete), stride), *self._exceptions})
        points = (domain.from_params(self._complete[i]) for i in indices)
        rows: list[Levels] = [point for point in points if point is not None]
        conditions: Conditions = learn_conditions(rows, domain.ordered)
        if conditions != self._conditions:
            self._conditions = conditions
            self.domain = ParameterDomain(self._distributions, conditions)
        self._exceptions = [i for i in self._exceptions if self._disagrees(self._complete[i])]


def merge(first: BaseDistribution, second: BaseDistribution) -> BaseDistribution:
    """The distribution of a parameter that had `first` in one trial and `second` in another: the union of two ranges.

    Of distributions that have no union it is the second one.
    """
    if first == second or type(first) is not type(second) or isinstance(second, CategoricalDistribution):
        return second
    if isinstance(first, IntDistribution) and isinstance(second, IntDistribution) and first.log == second.log:
        low, high = min(first.low, second.low), max(first.high, second.high)
        common_step = math.gcd(first.step, second.step, first.low - second.low)
        return IntDistribution(low, high, first.log, 1 if first.log else common_step)
    if isinstance(first, FloatDistribution) and isinstance(second, FloatDistribution) and first.log == second.log:
        step = first.step if first.step == second.step and first.low == second.low else None
        return FloatDistribution(min(first.low, second.low), max(first.high, second.high), first.log, step)
    return second
