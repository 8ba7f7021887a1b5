"""The task to measure a network that another worker has trained (`nas/study/measuring_device.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
