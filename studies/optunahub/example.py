"""Two objectives, of which the second is known before a trial."""

from __future__ import annotations

import math
from typing import Any

import optuna
import optunahub


def size(params: dict[str, Any]) -> float:
    """The number of weights."""
    return float(params["width"] ** 2 * params["depth"])


def objective(trial: optuna.Trial) -> tuple[float, float]:
    """An error that falls with the size, and the size."""
    width = trial.suggest_int("width", 8, 256, log=True)
    depth = trial.suggest_int("depth", 1, 12)
    activation = trial.suggest_categorical("activation", ["relu", "gelu", "silu"])
    slope = trial.suggest_float("slope", 0.0, 0.5) if activation == "relu" else 0.2
    error = (width * math.sqrt(depth)) ** -0.3 + (slope - 0.1) ** 2 + 0.05 * (activation == "silu")
    return error, size(trial.params)


module = optunahub.load_local_module(package="samplers/mixfront_pareto", registry_root="./package/")
study = optuna.create_study(directions=["minimize", "minimize"], sampler=module.ParetoSampler(cheap={1: size}, seed=0))
study.optimize(objective, n_trials=30)
for trial in study.best_trials:
    print(trial.values, trial.params)
