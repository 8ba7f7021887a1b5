"""The rungs of a study with a scheduler: how many trials reached each, and what their training took.

A trial *enters* a rung when it trains beyond the rung before it. It is *promoted* when it enters the next rung, or completes the
last one, and *ends* there if it is stopped or fails; the others train or are paused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.analysis.growing import GrowingColumn, RaggedColumn


@dataclass(frozen=True)
class RungRow:
    """A rung.

    Args:
        epoch: at which trials pause; the last rung is the whole training.
        entered: number of trials that trained beyond the rung before.
        promoted: of these, those that entered the next rung or completed the last.
        ended: of these, those that were stopped or failed at this rung.
        epochs: epochs trained between the rung before and this one.
        seconds: of these epochs, training and validation.
    """

    epoch: int
    entered: int
    promoted: int
    ended: int
    epochs: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class RungColumns:
    """The epochs of the trials of a study, and the rungs that they reached."""

    def __init__(self) -> None:
        self.epochs: set[int] = set()
        """Of the rungs."""
        self.until = GrowingColumn(0, "i4")
        """The epoch to pause at, of the last segment of each trial; 0 without."""
        self.seconds = RaggedColumn("f8")
        """The epochs of each trial."""

    def assign(
        self,
        trials: NDArray[np.int64],
        reached: Sequence[Mapping[int, float]],
        until: Sequence[int | None],
        curves: Sequence[Sequence[Mapping[str, Any]]],
    ) -> None:
        """Set the epochs of several trials.

        Args:
            trials: their numbers.
            reached: their intermediate values, by the epoch of the rung.
            until: the epoch to pause at, of their last segments; None without a scheduler, and for the last segment.
            curves: their epochs.
        """
        self.epochs.update(epoch for epochs in reached for epoch in epochs)
        self.epochs.update(epoch for epoch in until if epoch is not None)
        self.until.assign(trials, [epoch or 0 for epoch in until])
        self.seconds.assign(trials, [[epoch.get("wall_s") or 0.0 for epoch in curve] for curve in curves])

    def rows(self, state_codes: NDArray[np.int64], states: Sequence[str]) -> list[RungRow]:
        """The rungs, ascending; none if the study has no scheduler.

        Args:
            state_codes: of each trial, by number.
            states: the state of each code.
        """
        if not self.epochs:
            return []
        count = len(state_codes)
        epochs = self.seconds.lengths(np.arange(count))
        rungs = sorted({*self.epochs, int(epochs.max(initial=0))} - {0})
        totals = np.concatenate([[0.0], np.cumsum(self.seconds.gather(np.arange(count)))])
        first = np.concatenate([[0], np.cumsum(epochs)])[:-1]
        state = np.array(states)[state_codes]
        heading = np.where(state == "running", self.until.first(count), 0)
        rows = []
        for below, rung, above in zip([0, *rungs], rungs, [*rungs[1:], None], strict=False):
            entered = np.maximum(epochs, heading) > below
            further = state == "complete" if above is None else np.maximum(epochs, heading) > rung
            over = np.isin(state, ("stopped", "failed", "refused"))
            low, high = np.minimum(epochs, below), np.minimum(epochs, rung)
            rows.append(
                RungRow(
                    epoch=rung,
                    entered=int(entered.sum()),
                    promoted=int((entered & further).sum()),
                    ended=int((entered & ~further & over).sum()),
                    epochs=int((high - low).sum()),
                    seconds=float((totals[first + high] - totals[first + low]).sum()),
                )
            )
        return rows
