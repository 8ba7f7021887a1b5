"""The cost-aware Pareto sampler."""

from nas.sampler.pareto import ParetoSampler

__all__ = ["ParetoSampler"]
