"""Optuna's TPE for studies of several objectives whose trials may be stopped at a rung."""

from __future__ import annotations

from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from nas.sampler.optuna_adapter import without_intermediate_values


class TPESampler(optuna.samplers.TPESampler):
    """`optuna.samplers.TPESampler`, for which stopped trials rank behind every complete one."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample the parameters that are modelled together."""
        return super().sample_relative(_view(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample a parameter by itself."""
        return super().sample_independent(_view(study), trial, param_name, param_distribution)


def _view(study: Study) -> Study:
    return without_intermediate_values(study) if len(study.directions) > 1 else study
