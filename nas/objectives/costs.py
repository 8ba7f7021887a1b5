"""The exact costs of an architecture, cached: a suggestion needs the costs of an architecture several times."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache

from nas.objectives.base import OBJECTIVES, names
from search_space import Architecture, Cost, cost

COST_FIELDS = tuple(field.name for field in fields(Cost))
"""The costs that `search_space.cost` computes; a trial stores all of them, whether they are objectives or not."""


@lru_cache(maxsize=4096)
def costs_of(architecture: Architecture) -> Cost:
    """The exact costs of `architecture`, from a cache."""
    return cost(architecture)


def cost_values(architecture: Architecture) -> dict[str, float]:
    """All costs of `architecture` that a trial stores: the fields of `Cost`, and the registered objectives of source "cost"."""
    costs = costs_of(architecture)
    values: dict[str, float] = {name: getattr(costs, name) for name in COST_FIELDS}
    return values | {name: OBJECTIVES[name].compute(architecture) for name in names("cost") if name not in values}


def cost_value(name: str, architecture: Architecture) -> float:
    """The value of the objective `name`, whose source is "cost", for `architecture`."""
    if name in COST_FIELDS:
        return float(getattr(costs_of(architecture), name))
    return float(OBJECTIVES[name].compute(architecture))
