"""Multi-objective successive halving: every architecture is trained a little, the best go on.

A *rung* is a number of epochs at which trainings pause; from each rung one in `reduction` goes on to the next, the last
rung being the whole training. It is asynchronous, as ASHA (Li et al., MLSys 2020): whenever a worker is free, the best
paused trial among the top 1/reduction of its rung goes on, the highest rung first; only if there is none, another trial
begins. A paused training has its checkpoint and loses nothing. Other than in ASHA no more than that share has gone on at
any time: a sampler that learns finds better and better trials, and each would go on.

At a rung trials are ranked by non-dominated fronts, with the exact costs and the accuracy so far, and within a front by
what each adds to its hypervolume: so that the cheap survive among the cheap, and not only the most accurate.

Decisions only: knows no study, no worker, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import moocore
import numpy as np

from nas.analysis.front import normalise
from nas.objectives import Objective

MARGIN = 0.1  # of the reference point beyond the worst values, so that the ends of a front count


@dataclass(frozen=True)
class Halving:
    """The rungs of a training.

    Args:
        rungs: epochs, rising; the last is the whole training.
        reduction: of how many at a rung one goes on.
    """

    rungs: tuple[int, ...]
    reduction: int

    @classmethod
    def of(cls, epochs: int, reduction: int, first: int) -> Halving:
        """Rungs at `epochs`, `epochs / reduction`, ... down to `first` or the last above it."""
        rungs = [epochs]
        while (lower := round(rungs[-1] / reduction)) >= first and lower < rungs[-1]:
            rungs.append(lower)
        return cls(tuple(reversed(rungs)), reduction)

    def after(self, epoch: int) -> int:
        """The first rung above `epoch`; the last one at and above it."""
        return next((rung for rung in self.rungs if rung > epoch), self.rungs[-1])


@dataclass
class Ladder:
    """Where the trials of a study stand.

    Args:
        halving: the rungs.
        objectives: what trials are ranked by, in the order of their values.
    """

    halving: Halving
    objectives: Sequence[Objective]
    _values: dict[int, dict[int, tuple[float, ...]]] = field(default_factory=dict)  # rung -> trial -> values there
    _paused: dict[int, int] = field(default_factory=dict)  # trial -> rung
    _climbing: dict[int, int] = field(default_factory=dict)  # trial -> the rung it trains towards

    @property
    def paused(self) -> dict[int, int]:
        """The trials that wait at a rung, and which."""
        return dict(self._paused)

    def climb(self, trial: int) -> int:
        """`trial` begins or goes on; the epoch at which it pauses next."""
        target = self.halving.after(self._paused.pop(trial, 0))
        self._climbing[trial] = target
        return target

    def reach(self, trial: int, epoch: int, values: Sequence[float]) -> None:
        """`trial` stands at the rung `epoch` with `values`, one for each objective; at the last rung it is done."""
        self._climbing.pop(trial, None)
        self._values.setdefault(epoch, {})[trial] = tuple(values)
        if epoch < self.halving.rungs[-1]:
            self._paused[trial] = epoch

    def resume(self, trial: int, epoch: int) -> None:
        """`trial` was cut off on its way from the rung `epoch`: `climb` puts it on that way again."""
        self._paused[trial] = epoch

    def leave(self, trial: int) -> None:
        """`trial` failed or was stopped: it goes no further. What it reached still counts for others."""
        self._climbing.pop(trial, None)
        self._paused.pop(trial, None)

    def promotion(self, last: bool = False) -> int | None:
        """The trial that should go on now, if any.

        Args:
            last: no further trial will begin: where none is on its way to a rung either, all of its top share go on,
                rounded up, however many went on before.
        """
        for rung in reversed(self.halving.rungs[:-1]):
            reached = self._values.get(rung, {})
            settled = last and not any(target <= rung for target in self._climbing.values())
            share = len(reached) / self.halving.reduction
            if not settled and self._gone_on(rung) >= int(share):
                continue
            chosen = ranked(reached, self.objectives)[: int(np.ceil(share)) if settled else int(share)]
            waiting = [trial for trial in chosen if self._paused.get(trial) == rung]
            if waiting:
                return waiting[0]
        return None

    def _gone_on(self, rung: int) -> int:
        """How many trials have gone on from `rung`."""
        after = self.halving.after(rung)
        return len(self._values.get(after, {})) + sum(target == after for target in self._climbing.values())


def ranked(values: dict[int, tuple[float, ...]], objectives: Sequence[Objective]) -> list[int]:
    """The trials of `values` (trial -> one value for each objective), best first; equals in the order of numbers."""
    trials = sorted(values)
    if not trials:
        return []
    unit = np.nan_to_num(normalise([values[trial] for trial in trials], objectives), nan=-MARGIN)
    front = moocore.pareto_rank(unit, maximise=True)
    added = np.zeros(len(trials))
    for level in np.unique(front):
        members = np.nonzero(front == level)[0]
        added[members] = moocore.hv_contributions(unit[members], ref=-MARGIN, maximise=True)
    return [trials[i] for i in np.lexsort((np.array(trials), -added, front))]
