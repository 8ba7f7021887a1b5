"""A small search problem whose true front is known: networks of five edges with one of four operators each."""

from __future__ import annotations

import itertools
import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from nas.study.database.optuna_adapter import set_intermediate_value

OP_MACS = {"none": 0.0, "skip": 0.0, "conv1": 1.0, "conv3": 9.0}
OP_QUALITY = {"none": -1.0, "skip": 0.3, "conv1": 1.0, "conv3": 1.6}


class CellProblem:
    """1024 networks with an accuracy and MACs in closed form."""

    def __init__(self) -> None:
        self.ops = tuple(OP_MACS)
        self.space = {f"edge{i}": CategoricalDistribution(self.ops) for i in range(5)}

    def macs(self, params: dict[str, Any]) -> float:
        """1 to 46."""
        return 1.0 + sum(OP_MACS[op] for op in params.values())

    def accuracy(self, params: dict[str, Any]) -> float:
        """Between 0 and 1; later edges count more, and two of the edges interact."""
        quality = sum(OP_QUALITY[op] * (1 + 0.3 * i) for i, op in enumerate(params.values()))
        quality += 1.0 if params["edge0"] == params["edge3"] == "skip" else 0.0
        return 1 - 0.9 * math.exp(-0.25 * (quality + 7.5))

    def all_params(self) -> list[dict[str, Any]]:
        """The parameters of every network."""
        return [dict(zip(self.space, ops, strict=True)) for ops in itertools.product(self.ops, repeat=len(self.space))]

    def objective(self, trial: optuna.Trial) -> tuple[float, float]:
        """Accuracy and MACs, with the parameters suggested one by one."""
        params = {name: trial.suggest_categorical(name, self.ops) for name in self.space}
        return self.accuracy(params), self.macs(params)

    def study(self, sampler: optuna.samplers.BaseSampler, *directions: str) -> optuna.Study:
        """A study in memory; by default accuracy is maximised and MACs are minimised."""
        return optuna.create_study(directions=directions or ("maximize", "minimize"), sampler=sampler)

    def report(self, study: optuna.Study, trial: optuna.Trial, step: int, value: float) -> None:
        """Set an intermediate value as the driver does: `Trial.report` refuses studies of several objectives."""
        set_intermediate_value(study, trial, step, value)

    def key(self, trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
        """Equal for trials with the same parameters."""
        return tuple(sorted(trial.params.items()))


@pytest.fixture(scope="session")
def cells() -> CellProblem:
    return CellProblem()
