"""How a run ended, as its worker reports it to the driver. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["finished", "interrupted", "failed", "machine", "misused"]
"""The record is written; the checkpoint is, since the driver asked to stop; the training, the machine or the use is at fault."""


@dataclass(frozen=True)
class RunEnd:
    """How a run ended.

    Args:
        outcome: see `Outcome`.
        reason: what is at fault, in one line; empty if nothing is.
        traceback: of a failure; empty without.
    """

    outcome: Outcome
    reason: str = ""
    traceback: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"outcome": self.outcome, "reason": self.reason, "traceback": self.traceback}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RunEnd:
        """The inverse of `to_dict`."""
        return cls(plain["outcome"], plain["reason"], plain["traceback"])
