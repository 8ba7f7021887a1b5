"""How long full trainings will take, from the first steps on: the paces of those that run hold for those that wait, too.

The pace of a run is its seconds for a unit of work (`RetrainJob.work` times epochs). A run that has not started is taken to have
the mean pace of all that have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RunPace:
    """How much of a run is left, and how fast it is.

    Args:
        left_work: work that is left.
        own_work: work whose seconds are known; 0: none.
        own_s: its seconds.
    """

    left_work: float
    own_work: float = 0.0
    own_s: float = 0.0


def time_left_s(runs: Sequence[RunPace], workers: int) -> float | None:
    """Seconds until all of `runs` have ended on that number of `workers`; None while no pace is known.

    Args:
        runs: of the command, also those that have ended, whose paces count.
        workers: number of runs at a time.
    """
    own_work = sum(run.own_work for run in runs)
    if not own_work:
        return None
    mean_pace = sum(run.own_s for run in runs) / own_work
    left = [run.left_work * (run.own_s / run.own_work if run.own_work else mean_pace) for run in runs if run.left_work]
    return max(sum(left) / workers, *left) if left else 0.0
