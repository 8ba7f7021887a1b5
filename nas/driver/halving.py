"""Multi-objective successive halving: every architecture is trained for a few epochs, and the best ones are promoted.

A *rung* is a number of epochs at which trainings pause. One in `reduction` trials is promoted from each rung to the next;
the last rung is the whole training. The algorithm is asynchronous, like ASHA (Li et al., MLSys 2020): whenever a worker is
free, the best paused trial among the top 1/reduction of its rung is promoted, the highest rung first. A new trial starts only
if there is no such trial. A paused training continues from its checkpoint, so that no epoch is repeated. Unlike in ASHA, never
more than this share is promoted: a sampler that learns proposes better and better trials, and ASHA would promote each of them.

`nas.driver.rung` says how the trials at a rung are ranked, `nas.driver.ladder` which one is promoted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.driver.rung import Rung


@dataclass(frozen=True)
class Halving:
    """The rungs of a training.

    Args:
        rungs: numbers of epochs, ascending; the last is the whole training.
        reduction: one in this number of trials is promoted; at least 2.
    """

    rungs: tuple[int, ...]
    reduction: int

    @classmethod
    def of(cls, epochs: int, reduction: int, first: int) -> Halving:
        """Rungs at `epochs`, `epochs / reduction`, ... down to the lowest that is at least `first`."""
        rungs = [epochs]
        while (lower := round(rungs[-1] / reduction)) >= first and lower < rungs[-1]:
            rungs.append(lower)
        return cls(tuple(reversed(rungs)), reduction)

    @property
    def inherited_epochs(self) -> None:
        """None: every training begins with its own weights."""

    def after(self, epoch: int) -> int:
        """The first rung above `epoch`; the last rung if there is none above."""
        return next((rung for rung in self.rungs if rung > epoch), self.rungs[-1])

    def quota(self, rung: Rung, settled: bool) -> int:
        """The number of the best trials of `rung` that are promoted: their share, rounded up once the rung is `settled`."""
        share = len(rung) / self.reduction
        return math.ceil(share) if settled else int(share)
