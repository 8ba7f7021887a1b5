"""Samplers: the registry, and the cost-aware Pareto sampler.

- `registry` knows the samplers, each of which is a file of `factories`; `evolution` and `tpe` are two of them.
- `pareto` is `ParetoSampler`. A suggestion goes through `study_search` (one study) and `point_search` (its points) to `engine`.
  That makes candidates (`candidate_pool`, `features`), scores them by the expected hypervolume improvement (`scoring`,
  `improvement`) and selects one (`selection`), for several workers at once several (`batch`, `batching`). No model chooses the
  first points (`first_points`, `initial_points`).
- Points: `domain` is the interface, `architecture_domain` and `parameter_domain` implement it (`parameters`, `bit_encoding`,
  `conditions`, `restriction`).
- Observations: `study_reader` reads the trials (`observation_rows`, `observed_space`).
- Models: `objective_models` and `secondary_objective` hold a `gaussian_process` (`kernel`, `candidate_covariance`) for each
  objective that needs training, on the scales of `warp` and `cost_transform`. `feasibility` is the model of failures.
  `prediction` is what models say of one point.
- `optuna_adapter` holds what Optuna does not document.

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
