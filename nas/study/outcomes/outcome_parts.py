"""What outcomes consist of: the measurements of a network, and the result of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nas import objectives


@dataclass(frozen=True)
class Measured:
    """The measurements of a network before its training.

    Args:
        values: objective -> value.
        details: user attribute -> details of the measurement.
        device: the name of the processor or GPU; None: nothing was measured.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str | None = None

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial."""
        device = {} if self.device is None else {"device": self.device}
        return {**device, **self.values, **{name: dict(value) for name, value in self.details.items()}}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Measured:
        """The inverse of `to_attributes`, for registered objectives."""
        measured = [objectives.get(name) for name in objectives.names("measured")]
        return cls(
            values={o.name: float(attributes[o.name]) for o in measured if attributes.get(o.name) is not None},
            details={o.details_name: attributes[o.details_name] for o in measured if attributes.get(o.details_name)},
            device=attributes.get("device"),
        )


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Args:
        values: trained objective -> value after the last epoch.
        curve: one entry per epoch, plain JSON (`trainers.training.epoch.Epoch.to_dict`).
        train_s: seconds of training steps.
        wall_s: seconds from the start to the end of the trial, summed over segments.
        overhead_s: the part of `wall_s` outside epochs.
    """

    values: Mapping[str, float]
    curve: Sequence[Mapping[str, Any]]
    train_s: float
    wall_s: float
    overhead_s: float

    def with_overhead(self, seconds: float) -> Trained:
        """The same result with further `seconds` outside epochs."""
        return replace(self, wall_s=self.wall_s + seconds, overhead_s=self.overhead_s + seconds)

    def to_attributes(self) -> dict[str, Any]:
        """User attributes of the trial; accuracy is none, since it is a value of the trial and in its curve."""
        values = {name: value for name, value in self.values.items() if name != "accuracy"}
        times = {"train_s": self.train_s, "overhead_s": self.overhead_s, "wall_s": self.wall_s}
        return {**values, "curve": [dict(epoch) for epoch in self.curve], **times}
