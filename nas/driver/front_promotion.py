"""The promotion of trials that have inherited weights (`nas.study.inheritance`): the front is trained from scratch at the end.

An inherited training pauses at its last epoch, the only rung below the whole training. While further trials may start, none is
promoted. Then those on the front are, in which each trial counts with the values of its inherited training, and one that was
trained from scratch at once with those of that. So what is trained again is decided once, whatever the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.driver.rung import Rung


@dataclass(frozen=True)
class FrontPromotion:
    """The rungs of a search whose trials inherit weights.

    Args:
        rungs: the epochs of an inherited training, and those of a whole one.
    """

    rungs: tuple[int, int]

    @property
    def inherited_epochs(self) -> int:
        """The epochs of an inherited training."""
        return self.rungs[0]

    def after(self, epoch: int) -> int:
        """The first rung above `epoch`; the last rung if there is none above."""
        return self.rungs[0] if epoch < self.rungs[0] else self.rungs[1]

    def quota(self, rung: Rung, settled: bool) -> int:
        """The number of the best trials of `rung` that are promoted: the front, once the rung is `settled`."""
        return rung.front_size if settled else 0
