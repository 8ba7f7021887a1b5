"""Registers the rivals as samplers of the benchmark; importing it imports none of their libraries."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from optuna.samplers import BaseSampler

from nas.sampler.registry import SamplerContext, register

LIBRARIES = ("optuna", "torch", "botorch", "gpytorch", "scikit-learn", "pymoo", "syne-tune")
MODULES = {
    "botorch": ("botorch", "pyre_extensions"),
    "pymoo_nsga2": ("pymoo",),
    "pymoo_age2": ("pymoo", "numba"),
    "pymoo_sms": ("pymoo",),
    "syne_morea": ("syne_tune",),
}
"""Rival -> the modules that it needs beyond those of the project."""


def missing_modules(sampler: str) -> list[str]:
    """The modules that `sampler` needs and that are not installed."""
    return [name for name in MODULES.get(sampler, ()) if find_spec(name) is None]


def versions() -> dict[str, str]:
    """Library -> its version, of those that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@register("tpe_liar", benchmark_only=True)
def create_tpe_liar(context: SamplerContext) -> BaseSampler:
    """Optuna's own TPE, multivariate, with `constant_liar`; grouped where parameters depend on one another."""
    import optuna

    grouped = not context.has_fixed_parameters
    return optuna.samplers.TPESampler(seed=context.seed, multivariate=True, group=grouped, constant_liar=True)


@register("botorch", benchmark_only=True)
def create_botorch(context: SamplerContext) -> BaseSampler:
    """See `search_suite.rivals.gaussian_process`."""
    from search_suite.rivals.gaussian_process import BotorchSampler

    return BotorchSampler(context)


@register("forest", benchmark_only=True)
def create_forest(context: SamplerContext) -> BaseSampler:
    """See `search_suite.rivals.forest`."""
    from search_suite.rivals.forest import ForestSampler

    return ForestSampler(context)


@register("pymoo_nsga2", benchmark_only=True, learns_from_duplicates=True)
def create_pymoo_nsga2(context: SamplerContext) -> BaseSampler:
    """NSGA-II of pymoo."""
    from search_suite.rivals.evolution import PymooSampler

    return PymooSampler(context, "nsga2")


@register("pymoo_age2", benchmark_only=True, learns_from_duplicates=True)
def create_pymoo_age2(context: SamplerContext) -> BaseSampler:
    """AGE-MOEA-II of pymoo."""
    from search_suite.rivals.evolution import PymooSampler

    return PymooSampler(context, "age2")


@register("pymoo_sms", benchmark_only=True, learns_from_duplicates=True)
def create_pymoo_sms(context: SamplerContext) -> BaseSampler:
    """SMS-EMOA of pymoo."""
    from search_suite.rivals.evolution import PymooSampler

    return PymooSampler(context, "sms")


@register("syne_morea", benchmark_only=True)
def create_syne_morea(context: SamplerContext) -> BaseSampler:
    """See `search_suite.rivals.syne_tune_evolution`."""
    from search_suite.rivals.syne_tune_evolution import SyneTuneSampler

    return SyneTuneSampler(context)
