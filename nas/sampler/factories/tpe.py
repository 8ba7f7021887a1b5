"""`tpe`: Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from nas.sampler.registry import SamplerContext, register

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@register("tpe")
def create_tpe(context: SamplerContext) -> BaseSampler:
    """Multivariate, which is far better with several objectives; grouped where parameters depend on one another.

    Grouping does nothing where the parameters are fixed, so there the sampler keeps Optuna's other defaults.
    """
    from optuna.exceptions import ExperimentalWarning

    from nas.sampler.tpe import TPESampler

    if context.has_fixed_parameters:
        return TPESampler(seed=context.seed, multivariate=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of `group`
        return TPESampler(seed=context.seed, multivariate=True, group=True, n_startup_trials=16)
