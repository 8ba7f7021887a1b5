"""`gp`: Optuna's Gaussian process sampler.

It models values as they are told. With the logarithms of objectives on a log scale it needs about half the trainings; the
other samplers go by ranks, or know the scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.sampler.registry import SamplerContext, register

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@register("gp", needs_log_values=True)
def create_gp(context: SamplerContext) -> BaseSampler:
    """Imports torch when it first fits a model. Parameters that not every architecture has are random: it would warn of each."""
    import optuna

    return optuna.samplers.GPSampler(seed=context.seed, warn_independent_sampling=False)
