"""The words in which a sampler tells its user why it proposes random points."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """The words of one use of a sampler; by default those of the arguments of `ParetoSampler`.

    Args:
        points: what the points are called.
        none_allowed: that no point was found that may be proposed.
    """

    points: str = "points"
    none_allowed: str = (
        "limits, feasible, cheap: no point was found that keeps the limits, is feasible and has finite costs"
    )

    @property
    def all_tried(self) -> str:
        """That all points were tried."""
        return f"all {self.points} that were found and may be proposed were tried"

    def warning(self, reason: str) -> str:
        """The warning of what is proposed, since `reason`."""
        return f"{reason}; random {self.points} are proposed"


API_WORDING = Wording()
