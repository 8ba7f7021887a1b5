"""What a study optimises: an objective has a name, a unit and a direction, and is cheap (known before training) or not.

One file an objective; `register` refuses a second one of the same name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from search_space.errors import unknown_name

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Objective:
    """An objective.

    Args:
        name: its name in studies, tables and figures; also the key of its value in a trial's result.
        label: what an axis says.
        unit: the unit of the value, empty for a ratio.
        direction: "maximize" or "minimize".
        cheap: True if the description alone gives it, so that it is known before any training.
        log: True if ratios matter rather than differences: axes and hypervolumes take its logarithm.
    """

    name: str
    label: str
    unit: str
    direction: Direction
    cheap: bool
    log: bool

    def misses(self, value: float, limit: float) -> bool:
        """True if `value` is worse than `limit`, the worst that is allowed."""
        return value < limit if self.direction == "maximize" else value > limit

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as it stands in the study's attributes."""
        return asdict(self)


OBJECTIVES: dict[str, Objective] = {}


def register(objective: Objective) -> Objective:
    """Make `objective` known by its name."""
    if objective.name in OBJECTIVES:
        raise ValueError(f"objective {objective.name!r} is registered already")
    OBJECTIVES[objective.name] = objective
    return objective


def get(name: str) -> Objective:
    """The objective called `name`.

    Raises:
        UnknownNameError: there is none; the error lists the known ones.
    """
    if name not in OBJECTIVES:
        raise unknown_name("objectives", "objective", name, OBJECTIVES)
    return OBJECTIVES[name]
