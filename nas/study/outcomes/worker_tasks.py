"""What a driver asks a worker to do: train a network, or go on with its training (`TrialTask`), or only measure one that
another worker has trained (`MeasureTask`, see `nas.study.measuring_device`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.outcome_parts import Measured


@dataclass(frozen=True)
class EarlierSegments:
    """Measurements and times of the earlier segments of a trial: measurements are not repeated, times are summed."""

    measured: Mapping[str, float] = field(default_factory=dict)
    overhead_s: float = 0.0
    idle_s: float = 0.0
    wall_s: float = 0.0

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> EarlierSegments:
        """Read them from the user attributes of a trial."""
        times = {name: attributes.get(name) or 0.0 for name in ("overhead_s", "idle_s", "wall_s")}
        return cls(Measured.from_attributes(attributes).values, **times)


@dataclass(frozen=True)
class TrialTask:
    """The task of a worker: an architecture to train, up to a rung or to the end.

    Args:
        number: the number of the trial.
        architecture: the architecture as JSON.
        seed: the seed of its training.
        folder: the folder of its files.
        until: the epoch at which to pause; None: train to the end.
        earlier: measurements and times of its earlier segments.
        inherited: from which trial to take the first weights over, for a training of its epochs; None: from none.
        measures: False: the driver decides after the training whether the network is measured.
    """

    number: int
    architecture: str
    seed: int
    folder: str
    until: int | None = None
    earlier: EarlierSegments = EarlierSegments()
    inherited: Inheritance | None = None
    measures: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = {
            name: getattr(self, name) for name in ("number", "architecture", "seed", "folder", "until", "measures")
        }
        earlier = {name: getattr(self.earlier, name) for name in ("measured", "overhead_s", "idle_s", "wall_s")}
        inherited = {} if self.inherited is None else {"inherited": self.inherited.to_dict()}
        return {**plain, "earlier": {**earlier, "measured": dict(self.earlier.measured)}, **inherited}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TrialTask:
        """The inverse of `to_dict`."""
        inherited = None if plain.get("inherited") is None else Inheritance(**plain["inherited"])
        return cls(**{**plain, "earlier": EarlierSegments(**plain["earlier"]), "inherited": inherited})


@dataclass(frozen=True)
class MeasureTask:
    """The task of a worker: an architecture that another worker has trained, to be measured.

    Args:
        number: the number of the trial.
        architecture: the architecture as JSON.
        seed: the seed of its initial weights.
    """

    number: int
    architecture: str
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"measure": {"number": self.number, "architecture": self.architecture, "seed": self.seed}}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> MeasureTask:
        """The inverse of `to_dict`."""
        return cls(**plain["measure"])

    @staticmethod
    def is_in(plain: Mapping[str, Any]) -> bool:
        """True if the task `plain` is a measurement."""
        return "measure" in plain
