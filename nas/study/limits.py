"""The limits of a study: objective -> the worst value allowed. Every check of a limit is in this file.

- when a search starts: `check_limits`, the exact costs of the cheapest architecture;
- before an architecture is proposed: `may_satisfy_limits`, exact costs and predictions; `satisfies_limits`, exact costs alone;
- when it is proposed, and after it is measured: `find_violation`, the reason to refuse it, and `excesses`, Optuna's constraints.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nas import objectives
from nas.errors import ConfigError
from nas.formatting import number_text
from nas.objectives.costs import cost_value
from nas.study.config import StudyConfig
from nas.study.operator_table import OperatorTable
from search_space import Architecture, SearchSpace

PREDICTION_MARGIN = 1.5
"""An architecture is not proposed if its predicted value exceeds a limit by this factor."""


def find_violation(values: Mapping[str, float], limits: Mapping[str, float]) -> str | None:
    """Describe the first of `limits` that `values` violate: "limit macs: 5000 > 4000"; None if there is none.

    Args:
        values: objective -> value; limits on other objectives are ignored.
        limits: objective -> the worst value allowed.
    """
    for name, limit in limits.items():
        if name in values and objectives.get(name).violates(values[name], limit):
            return (
                f"limit {name}: {number_text(values[name])} {'<' if values[name] < limit else '>'} {number_text(limit)}"
            )
    return None


def excesses(values: Mapping[str, float], limits: Mapping[str, float]) -> dict[str, float]:
    """The amount by which each of `values` that has a limit is worse than it; above 0 if it violates the limit."""
    return {
        name: float(objectives.get(name).excess(values[name], limit))
        for name, limit in limits.items()
        if name in values
    }


def satisfies_limits(architecture: Architecture, limits: Mapping[str, float]) -> bool:
    """True if the exact costs of `architecture` satisfy the `limits` on them; other limits are ignored."""
    costs = {name: cost_value(name, architecture) for name in limits if objectives.get(name).cheap}
    return find_violation(costs, limits) is None


def may_satisfy_limits(
    architecture: Architecture, limits: Mapping[str, float], tables: Mapping[str, OperatorTable]
) -> bool:
    """False if the exact costs of `architecture` exceed a limit, or its predicted values exceed one by `PREDICTION_MARGIN`."""
    if not satisfies_limits(architecture, limits):
        return False
    for name in limits.keys() & tables.keys():
        objective = objectives.get(name)
        predicted = tables[name].predict(objective, architecture)
        margin = PREDICTION_MARGIN if objective.direction == "maximize" else 1 / PREDICTION_MARGIN
        if objective.violates(predicted * margin, limits[name]):
            return False
    return True


def check_limits(config: StudyConfig, space: SearchSpace) -> None:
    """Raise `ConfigError` if no architecture satisfies the limits on exact costs."""
    for name, limit in config.limits.items():
        objective = objectives.get(name)
        if not objective.cheap:
            continue
        best = cost_value(name, find_cheapest(space, name, config.seed))
        if objective.violates(best, limit):
            rule = f"limits.{name}: no architecture of the space is that cheap; the cheapest has {number_text(best)}"
            raise ConfigError(config.where("limits", name), f"{rule}, found {number_text(limit)}")


def find_cheapest(space: SearchSpace, name: str, seed: int) -> Architecture:
    """Find the architecture with the best exact cost `name`, by descent over neighbours from the best of a random sample."""
    sign = -1.0 if objectives.get(name).direction == "maximize" else 1.0

    def price(architecture: Architecture) -> float:
        return sign * cost_value(name, architecture)

    rng = np.random.default_rng(seed)
    best = min((space.sample(rng) for _ in range(64)), key=price)
    while True:
        neighbour = min(space.neighbours(best), key=price, default=best)
        if price(neighbour) >= price(best):
            return best
        best = neighbour
