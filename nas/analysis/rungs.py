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
        self._epochs: set[int] = set()
        self._until: dict[int, int] = {}
        self._seconds: dict[int, NDArray[np.float64]] = {}

    def set(
        self, trial: int, reached: Mapping[int, float], until: int | None, curve: Sequence[Mapping[str, Any]]
    ) -> None:
        """Set the epochs of a trial.

        Args:
            trial: its number.
            reached: its intermediate values, by the epoch of the rung.
            until: the epoch to pause at, of its last segment; None without a scheduler, and for the last segment.
            curve: its epochs.
        """
        self._epochs.update(reached)
        if until is not None:
            self._epochs.add(until)
            self._until[trial] = until
        self._seconds[trial] = np.array([epoch.get("wall_s") or 0.0 for epoch in curve], np.float64)

    def rows(self, states: Sequence[str]) -> list[RungRow]:
        """The rungs, ascending; none if the study has no scheduler.

        Args:
            states: the state of each trial, by number.
        """
        longest = max((len(seconds) for seconds in self._seconds.values()), default=0)
        if not self._epochs:
            return []
        rungs = sorted({*self._epochs, longest} - {0})
        count = len(states)
        spent = [self._seconds.get(trial, np.empty(0)) for trial in range(count)]
        totals = np.concatenate([[0.0], np.cumsum(np.concatenate([np.empty(0), *spent]))])
        epochs = np.array([len(seconds) for seconds in spent], np.int64)
        first = np.concatenate([[0], np.cumsum(epochs)])[:-1]
        state = np.array(states, object)
        heading = np.where(state == "running", [self._until.get(trial, 0) for trial in range(count)], 0)
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
