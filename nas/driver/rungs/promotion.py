"""Rules of promotion: at which epochs trainings pause, and which of the paused trials go on.

A *rung* is a number of epochs at which trainings pause; the last rung is the whole training. `nas.driver.rungs.rung` ranks the
trials at a rung, a rule says how many of the best are promoted to the next one, and `nas.driver.rungs.ladder` chooses the trial.

`Halving` is multi-objective successive halving: one in `reduction` trials is promoted from each rung to the next. It is
asynchronous, like ASHA (Li et al., MLSys 2020): whenever a worker is free, the best paused trial among the top 1/reduction of its
rung is promoted, the highest rung first. A new trial starts only if there is no such trial. A paused training continues from its
checkpoint, so that no epoch is repeated. Unlike in ASHA, never more than this share is promoted: a sampler that learns proposes
better and better trials, and ASHA would promote each of them.

`FrontPromotion` is for trials that inherit weights (`nas.study.outcomes.inheritance`): the front is trained from scratch at the
end. An inherited training pauses at its last epoch, the only rung below the whole training. While further trials may start, none
is promoted. Then those on the front are, in which each trial counts with the values of its inherited training, and one that was
trained from scratch at once with those of that. So what is trained again is decided once, whatever the outcome.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from nas.driver.rungs.rung import Rung


class PromotionRule(ABC):
    """The rungs of a search, and how many trials of each are promoted."""

    rungs: tuple[int, ...]
    """Numbers of epochs, ascending; the last is the whole training."""

    @property
    def inherited_epochs(self) -> int | None:
        """The rung that ends a training with inherited weights (`nas.study.outcomes.inheritance`); None: there are none."""
        return None

    def after(self, epoch: int) -> int:
        """The first rung above `epoch`; the last rung if there is none above."""
        return next((rung for rung in self.rungs if rung > epoch), self.rungs[-1])

    @abstractmethod
    def quota(self, rung: Rung, settled: bool) -> int:
        """The number of the best trials of `rung` that are promoted.

        Args:
            rung: below the last one.
            settled: True if no trial can reach it any more.
        """


@dataclass(frozen=True)
class Halving(PromotionRule):
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

    def quota(self, rung: Rung, settled: bool) -> int:
        """The number of the best trials of `rung` that are promoted: their share, rounded up once the rung is `settled`."""
        share = len(rung) / self.reduction
        return math.ceil(share) if settled else int(share)


@dataclass(frozen=True)
class FrontPromotion(PromotionRule):
    """The rungs of a search whose trials inherit weights.

    Args:
        rungs: the epochs of an inherited training, and those of a whole one.
    """

    rungs: tuple[int, int]

    @property
    def inherited_epochs(self) -> int:
        """The epochs of an inherited training."""
        return self.rungs[0]

    def quota(self, rung: Rung, settled: bool) -> int:
        """The number of the best trials of `rung` that are promoted: the front, once the rung is `settled`."""
        return rung.front_size if settled else 0
