"""The trial whose weights a new one takes over (`nas.study.outcomes.inheritance`): the nearest trained architecture.

The nearness of a trained architecture is the share of the parameters of the new one that it has, too: those of equal operators
(`search_space.operators`) in the same part of the network, the stem, a stage or the head. It is computed from the descriptions
alone. Of equally near ones the better is the parent, by the value of the primary objective, then the older.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

import optuna

from nas.driver.rungs.ladder import Ladder
from nas.objectives import Objective, primary_index
from nas.study.layout import INHERITED_WEIGHTS, WEIGHTS
from nas.study.outcomes.inheritance import Inheritance
from search_space import Architecture, SearchSpace
from search_space.operators import Operator, operators_by_part

MIN_SHARED_PARAMETERS = 0.25
"""An architecture that shares less with every trained one is trained from scratch: a third of the epochs would not suffice."""


class Parents:
    """The trained architectures of a search.

    Args:
        inherited_epochs: the epochs of an inherited training, a rung of `ladder`.
        ladder: the trials that have reached it, and those that have reached the last rung.
        architectures_of: maps the numbers of trials to their architectures.
        has_weights: True for the number of a trial and the name of a file of weights that this driver has.
    """

    def __init__(
        self,
        inherited_epochs: int,
        ladder: Ladder,
        architectures_of: Callable[[Collection[int]], Mapping[int, Architecture]],
        has_weights: Callable[[int, str], bool],
    ) -> None:
        self.inherited_epochs = inherited_epochs
        self.ladder = ladder
        self.architectures_of = architectures_of
        self.has_weights = has_weights
        primary = primary_index(ladder.objectives)
        objective: Objective = ladder.objectives[primary]
        self._primary, self._sign = primary, 1.0 if objective.direction == "minimize" else -1.0
        self._keys: dict[tuple[int, Operator], int] = {}
        self._parameters: dict[int, Mapping[int, int]] = {}  # trial -> `_parameters_by_key`

    def nearest(self, architecture: Architecture) -> Inheritance | None:
        """What a training of `architecture` takes over; None if no trained architecture is near enough."""
        reached = self.ladder.reached
        own = self._parameters_by_key(architecture)
        total = sum(own.values())
        trained = reached.get(self.inherited_epochs, {})
        self._add(trained.keys() - self._parameters.keys())
        ranked = []
        for number, values in trained.items():
            share = self._shared(own, number) / total
            if share >= MIN_SHARED_PARAMETERS:
                ranked.append((-share, self._sign * values[self._primary], number))
        complete = reached.get(self.ladder.promotion_rule.rungs[-1], {})
        for _, _, number in sorted(ranked):
            file = WEIGHTS if number in complete else INHERITED_WEIGHTS
            if self.has_weights(number, file):
                return Inheritance(number, file, self.inherited_epochs)
        return None

    def _add(self, numbers: Collection[int]) -> None:
        """Add the trials `numbers`, which were trained since the last call."""
        if numbers:
            for number, architecture in self.architectures_of(numbers).items():
                self._parameters[number] = self._parameters_by_key(architecture)

    def _shared(self, own: Mapping[int, int], number: int) -> int:
        """The parameters that an architecture with `own` ones has in common with the trial `number`."""
        other = self._parameters[number]
        return sum(min(count, other[key]) for key, count in own.items() if key in other)

    def _parameters_by_key(self, architecture: Architecture) -> dict[int, int]:
        """The parameters of the operators of each part: a number for part and operator -> parameters."""
        parameters: dict[int, int] = {}
        for part, operators in enumerate(operators_by_part(architecture)):
            # The head has the same part in all architectures, whatever their number of stages.
            place = -1 if part == len(architecture.stages) + 1 else part
            for operator, count in operators.items():
                key = self._keys.setdefault((place, operator), len(self._keys))
                parameters[key] = count * _params(operator)
        return parameters


def architectures_of(study: optuna.Study, space: SearchSpace, numbers: Collection[int]) -> dict[int, Architecture]:
    """The architectures of the trials `numbers` of `study`, which have all their parameters."""
    trials = study.get_trials(deepcopy=False)
    return {number: space.decode(trials[number].params) for number in numbers}


@lru_cache(maxsize=4096)
def _params(operator: Operator) -> int:
    return operator.cost.params
