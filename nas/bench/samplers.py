"""The context of a sampler in a benchmark: a `SamplerContext` whose functions look up columns of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.bench.table import BenchmarkTable
from nas.sampler.registry import RegisteredSampler, SamplerContext, SamplerObjective, find


def find_sampler(name: str) -> RegisteredSampler:
    """Find the sampler that `--samplers` names.

    Raises:
        UnknownNameError: there is none; the error lists the registered names.
    """
    return find(name, "--samplers")


def create_context(table: BenchmarkTable, seed: int) -> SamplerContext:
    """Create the context of `table`: cheap objectives, features, and which combinations exist."""
    objectives = tuple(
        SamplerObjective(
            objective.name,
            objective.direction,
            objective.log,
            reference=table.reference.get(objective.name),
            compute=_lookup(table, table.values[:, index]) if objective.cheap else None,
        )
        for index, objective in enumerate(table.objectives)
    )
    return SamplerContext(
        table.distributions,
        objectives,
        primary=next(index for index, objective in enumerate(objectives) if objective.compute is None),
        features=tuple(_lookup(table, column) for column in table.features.values()),
        feasible=lambda params: table.row(params) is not None,
        seed=seed,
    )


def _lookup(table: BenchmarkTable, column: NDArray[np.float64]) -> Callable[[Mapping[str, Any]], float]:
    """`column` as a function of the choices; the median for combinations outside the table, which are never proposed."""
    median = float(np.median(column))

    def value(params: Mapping[str, Any]) -> float:
        row = table.row(params)
        return median if row is None else float(column[row])

    return value
