"""The samplers that the cost-aware one is compared with, as `nas search` and `nas bench search` use them.

All of them treat every objective as a black box. None of them proposes each architecture once: whoever asks them refuses
duplicates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import optuna
from optuna.samplers import BaseSampler

from nas.sampler.evolution import RegularisedEvolution
from search_space.errors import unknown_name


def _tpe(seed: int) -> BaseSampler:
    # Multivariate: far better with several objectives. Grouped: an architecture's parameters depend on one another.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of `group`
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=16)


def _nsga2(seed: int) -> BaseSampler:
    # The default of 50 would spend a whole study of 50 trainings on random ones.
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)


def _gp(seed: int) -> BaseSampler:
    # Imports torch when it first models. Parameters that not every architecture has are random: it warns of each.
    return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)


def _random(seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _evolution(seed: int) -> BaseSampler:
    return RegularisedEvolution(seed=seed)


BASELINES: Final[Mapping[str, Callable[[int], BaseSampler]]] = MappingProxyType(
    {"tpe": _tpe, "nsga2": _nsga2, "gp": _gp, "random": _random, "evolution": _evolution}
)
"""Name -> a function of the seed."""


def baseline(name: str, seed: int) -> BaseSampler:
    """The sampler called `name`, one of `BASELINES`.

    Raises:
        UnknownNameError: there is none; the error lists the known ones.
    """
    if name not in BASELINES:
        raise unknown_name("sampler.name", "sampler", name, BASELINES)
    return BASELINES[name](seed)
