"""Samplers: the registry, and the cost-aware Pareto sampler.

`ParetoSampler` is imported when it is first used, since SciPy and Optuna take their time: the names of the samplers are known
without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.sampler import factories as factories  # registers every sampler
from nas.sampler.registry import (
    RegisteredSampler,
    SamplerContext,
    SamplerObjective,
    benchmark_names,
    create,
    find,
    names,
    register,
)

if TYPE_CHECKING:
    from nas.sampler.pareto import ParetoSampler

__all__ = [
    "ParetoSampler",
    "RegisteredSampler",
    "SamplerContext",
    "SamplerObjective",
    "benchmark_names",
    "create",
    "find",
    "names",
    "register",
]


def __getattr__(name: str) -> Any:
    if name == "ParetoSampler":
        from nas.sampler.pareto import ParetoSampler

        globals()[name] = ParetoSampler
        return ParetoSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
