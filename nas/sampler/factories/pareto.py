"""`pareto`: the cost-aware Pareto sampler, which uses everything that is known before training.

`pareto_4` and `pareto_16` always plan as many trials at once, as `pareto` does when so many workers wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.sampler.registry import SamplerContext, register

if TYPE_CHECKING:
    from nas.sampler.pareto import ParetoSampler


@register("pareto", uses_features=True)
def create_pareto(context: SamplerContext) -> ParetoSampler:
    """A `ParetoSampler` with all of the context."""
    return _create(context, 1)


@register("pareto_4", uses_features=True, benchmark_only=True)
def create_pareto_4(context: SamplerContext) -> ParetoSampler:
    """A `ParetoSampler` that plans four trials at once."""
    return _create(context, 4)


@register("pareto_16", uses_features=True, benchmark_only=True)
def create_pareto_16(context: SamplerContext) -> ParetoSampler:
    """A `ParetoSampler` that plans 16 trials at once."""
    return _create(context, 16)


def _create(context: SamplerContext, expected: int) -> ParetoSampler:
    """A sampler of which `expected` trials are asked for at once, unless it is told otherwise."""
    from nas.sampler.pareto import ParetoSampler

    objectives = tuple(enumerate(context.objectives))
    sampler = ParetoSampler(
        context.search_space,
        {index: objective.compute for index, objective in objectives if objective.compute is not None},
        primary=context.primary,
        features=context.features,
        duration=context.duration,
        feasible=context.feasible,
        limits={index: objective.limit for index, objective in objectives if objective.limit is not None},
        reference={index: objective.reference for index, objective in objectives if objective.reference is not None},
        log=[index for index, objective in objectives if objective.log],
        budget=context.budget,
        prior=context.prior,
        key_attribute=context.key_attribute,
        infeasible_attribute=context.infeasible_attribute,
        attributes={index: objective.attribute for index, objective in objectives if objective.attribute is not None},
        seed=context.seed,
    )
    sampler.use_wording(context.wording)
    sampler.expect(expected)
    return sampler
