"""The trials of a search at each of its rungs, and which of them is promoted by a rule (`PromotionRule`).

This module only makes decisions. It depends on no study, no worker and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nas.driver.rungs.promotion import PromotionRule
from nas.driver.rungs.rung import Rung
from nas.objectives import Objective


@dataclass
class Ladder:
    """The rungs, and the trials of a study at each of them.

    Args:
        promotion_rule: the rungs, and how many trials of each are promoted.
        objectives: the objectives that rank trials, in the order of their values.
    """

    promotion_rule: PromotionRule
    objectives: Sequence[Objective]
    _rungs: dict[int, Rung] = field(default_factory=dict)  # epoch -> the trials that have reached it
    _paused: dict[int, int] = field(default_factory=dict)  # trial -> rung
    _climbing: dict[int, int] = field(default_factory=dict)  # trial -> the rung it trains towards

    @property
    def paused(self) -> dict[int, int]:
        """Paused trial -> its rung."""
        return dict(self._paused)

    @property
    def reached(self) -> dict[int, dict[int, tuple[float, ...]]]:
        """Rung -> trial that has reached it -> its values there."""
        return {epoch: rung.values for epoch, rung in self._rungs.items() if len(rung)}

    def next_rung(self, trial: int) -> int:
        """The epoch at which `trial` pauses next if it is started or promoted."""
        return self.promotion_rule.after(self._paused.get(trial, 0))

    def climb_to(self, trial: int, target: int) -> None:
        """Record that `trial` trains towards the rung `target`."""
        self._paused.pop(trial, None)
        self._climbing[trial] = target

    def forget(self, trial: int) -> None:
        """Remove `trial` and its values."""
        self.leave(trial)
        for rung in self._rungs.values():
            rung.remove(trial)

    def reach(self, trial: int, epoch: int, values: Sequence[float]) -> None:
        """Record that `trial` has reached the rung `epoch` with `values`, one per objective; at the last rung it is complete.

        A trial that was trained beyond a rung without pausing there counts at that rung with these values, too.
        """
        self._climbing.pop(trial, None)
        self._rung(epoch).set(trial, values)
        for passed in self.promotion_rule.rungs:
            if passed < epoch and trial not in self._rung(passed):
                self._rung(passed).set(trial, values)
        if epoch < self.promotion_rule.rungs[-1]:
            self._paused[trial] = epoch

    def paused_front(self, epoch: int) -> list[int]:
        """The trials that pause at the rung `epoch` and that no other there dominates."""
        rung = self._rung(epoch)
        return [number for number in rung.front if self._paused.get(number) == epoch]

    def _rung(self, epoch: int) -> Rung:
        if epoch not in self._rungs:
            self._rungs[epoch] = Rung(self.objectives)
        return self._rungs[epoch]

    def pause_again(self, trial: int, epoch: int) -> None:
        """Record that `trial` was interrupted after the rung `epoch`; `next_rung` is the one above."""
        self._paused[trial] = epoch

    def leave(self, trial: int) -> None:
        """Remove `trial` from the ladder: it ended, or was interrupted.

        Its values at earlier rungs still count in the ranking of others.
        """
        self._climbing.pop(trial, None)
        self._paused.pop(trial, None)

    def promotion(self, no_new_trials: bool = False) -> int | None:
        """The trial to promote now, if there is one.

        Args:
            no_new_trials: True if no further trial will start. Then, at each rung that no running trial can still reach, the
                whole top share is promoted, rounded up, however many were promoted before.
        """
        for epoch in reversed(self.promotion_rule.rungs[:-1]):
            if epoch not in self._rungs:
                continue
            settled = no_new_trials and not any(target <= epoch for target in self._climbing.values())
            quota = self.promotion_rule.quota(self._rungs[epoch], settled)
            if not settled and self._promoted_count(epoch) >= quota:
                continue
            waiting = [trial for trial, rung in self._paused.items() if rung == epoch]
            chosen = self._rungs[epoch].best(quota, waiting)
            if chosen is not None:
                return chosen
        return None

    def _promoted_count(self, rung: int) -> int:
        """The number of trials that were promoted from `rung`."""
        after = self.promotion_rule.after(rung)
        return len(self._rungs.get(after, ())) + sum(target == after for target in self._climbing.values())
