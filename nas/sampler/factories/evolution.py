"""`evolution`: regularised (aging) evolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.sampler.registry import SamplerContext, register

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@register("evolution")
def create_evolution(context: SamplerContext) -> BaseSampler:
    """A population of 20 and tournaments of 10."""
    from nas.sampler.evolution import RegularisedEvolution

    return RegularisedEvolution(seed=context.seed)
