"""The samplers that take part in a benchmark, by name: each is made for one table and one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import BaseSampler

from nas.bench.table import Table
from nas.sampler import ParetoSampler
from nas.sampler.baselines import BASELINES, baseline
from search_space.errors import unknown_name


def _pareto(table: Table, seed: int) -> BaseSampler:
    """Ours: told what is known before training, and which combinations there are."""
    cheap = {i: one.name for i, one in enumerate(table.objectives) if one.cheap}
    return ParetoSampler(
        table.distributions,
        {i: _looked_up(table, table.values[:, i]) for i in cheap},
        features=[_looked_up(table, column) for column in table.features.values()],
        feasible=lambda params: table.row(params) is not None,
        seed=seed,
    )


def _looked_up(table: Table, column: NDArray[np.float64]) -> Callable[[Mapping[str, Any]], float]:
    """`column` as a function of the choices. Combinations that there are not, and that are never proposed, get the median."""
    middle = float(np.median(column))

    def known(params: Mapping[str, Any]) -> float:
        row = table.row(params)
        return middle if row is None else float(column[row])

    return known


def _nsga2_50(table: Table, seed: int) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=50)


def _tpe(table: Table, seed: int) -> BaseSampler:
    # As Optuna gives it but multivariate: the grouping that `nas search` needs does nothing where the space is fixed.
    return optuna.samplers.TPESampler(seed=seed, multivariate=True)


def _baseline(name: str, table: Table, seed: int) -> BaseSampler:
    return baseline(name, seed)


SAMPLERS: Final[Mapping[str, Callable[[Table, int], BaseSampler]]] = MappingProxyType(
    {
        "pareto": _pareto,
        **{name: partial(_baseline, name) for name in BASELINES},
        "nsga2_50": _nsga2_50,
        "tpe": _tpe,
    }
)
"""Name -> a function of table and seed. `nsga2` has a population of 20, `nsga2_50` one of 50."""

REPEATS: Final = frozenset({"nsga2", "nsga2_50"})
"""Those that gain by being told a duplicate's known values: a duplicate, too, brings the next generation nearer."""

LOGGED: Final = frozenset({"gp"})
"""Those that model values as they are told: what is weighed on a log scale they are told as its logarithm, and need about half
the trainings. The others go by ranks, or know the scale."""


def create(name: str, table: Table, seed: int) -> BaseSampler:
    """The sampler called `name`, one of `SAMPLERS`, for `table`.

    Raises:
        UnknownNameError: there is none; the error lists the known ones.
    """
    return SAMPLERS[known(name)](table, seed)


def known(name: str) -> str:
    """`name`, if it is that of a sampler; else raises as `create` does."""
    if name not in SAMPLERS:
        raise unknown_name("--samplers", "sampler", name, SAMPLERS)
    return name
