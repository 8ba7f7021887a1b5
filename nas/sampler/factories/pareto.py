"""`pareto`: the cost-aware Pareto sampler, which uses everything that is known before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.sampler.registry import SamplerContext, register

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@register("pareto", uses_features=True)
def create_pareto(context: SamplerContext) -> BaseSampler:
    """A `ParetoSampler` with all of the context."""
    from nas.sampler.pareto import ParetoSampler

    objectives = tuple(enumerate(context.objectives))
    return ParetoSampler(
        context.search_space,
        {index: objective.compute for index, objective in objectives if objective.compute is not None},
        primary=context.primary,
        features=context.features,
        feasible=context.feasible,
        limits={index: objective.limit for index, objective in objectives if objective.limit is not None},
        budget=context.budget,
        prior=context.prior,
        key_attribute=context.key_attribute,
        infeasible_attribute=context.infeasible_attribute,
        attributes={index: objective.attribute for index, objective in objectives if objective.attribute is not None},
        seed=context.seed,
    )
