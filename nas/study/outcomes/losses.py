"""The losses of a trial: its worker died, or its node or the whole cluster was lost. The user attribute `losses` holds them.

A trial that ends its worker or its node does so again and again, and at the same place. So losses count as long as the trial has
made no progress since: each holds what the trial's checkpoint was like.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LOSSES = "losses"
"""The user attribute of a trial."""

WORKER = "worker"
KINDS = (WORKER, "node", "cluster")


@dataclass(frozen=True)
class TrialLoss:
    """A loss.

    Args:
        at: seconds since 1970.
        kind: "worker": the process died, and its node lives; "node": its node was lost; "cluster": all nodes were.
        reason: one line.
        checkpoint: changes whenever the checkpoint of the trial is written; None: it has none.
    """

    at: float
    kind: str
    reason: str
    checkpoint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "at": round(self.at, 3)}

    @property
    def is_of_worker(self) -> bool:
        """True if only the process was lost."""
        return self.kind == WORKER


def losses_of(attributes: Mapping[str, Any]) -> list[TrialLoss]:
    """The losses in the user attributes of a trial; entries of another shape are left out."""
    plain = attributes.get(LOSSES)
    return [TrialLoss(**_known(entry)) for entry in (plain if isinstance(plain, list) else []) if _is_loss(entry)]


def in_a_row(losses: Sequence[TrialLoss]) -> list[TrialLoss]:
    """The last of `losses` between which the trial made no progress: all of the worker, or all of nodes and clusters."""
    last = losses[-1] if losses else None
    row: list[TrialLoss] = []
    for loss in reversed(losses):
        if last is None or loss.is_of_worker != last.is_of_worker:
            continue
        if loss.checkpoint != last.checkpoint:
            break
        row.insert(0, loss)
    return row


def _is_loss(entry: object) -> bool:
    if not isinstance(entry, Mapping) or entry.get("kind") not in KINDS or not isinstance(entry.get("reason"), str):
        return False
    at, mark = entry.get("at"), entry.get("checkpoint")
    is_time = isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(at)
    return is_time and (mark is None or isinstance(mark, str))


def _known(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.get(name) for name in TrialLoss.__dataclass_fields__}
