"""`nsga2`: Optuna's NSGA-II with a population of 20, and `nsga2_50` for benchmarks with Optuna's default of 50.

Both gain from the known values of duplicates: a duplicate fills a place in the current generation too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.sampler.registry import SamplerContext, register

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@register("nsga2", learns_from_duplicates=True)
def create_nsga2(context: SamplerContext) -> BaseSampler:
    """A population of 20: with 50 a whole study of 50 trainings would be random."""
    import optuna

    return optuna.samplers.NSGAIISampler(seed=context.seed, population_size=20)


@register("nsga2_50", learns_from_duplicates=True, benchmark_only=True)
def create_nsga2_50(context: SamplerContext) -> BaseSampler:
    """A population of 50."""
    import optuna

    return optuna.samplers.NSGAIISampler(seed=context.seed, population_size=50)
