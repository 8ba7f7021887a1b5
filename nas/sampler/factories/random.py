"""`random`: uniform draws, parameter by parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.sampler.registry import SamplerContext, register

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@register("random")
def create_random(context: SamplerContext) -> BaseSampler:
    """Optuna's random sampler."""
    import optuna

    return optuna.samplers.RandomSampler(seed=context.seed)
