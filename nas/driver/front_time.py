"""The time of a time budget that is kept for the front of a search whose trials inherit weights, which is trained from scratch.

Once the time left is no more than what that training takes, no further trial starts: the trials that run end, the front is
trained, and the others are stopped, as at the end of any such search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from nas.driver.rungs.ladder import Ladder
from nas.study.config_file.durations import duration_word
from nas.study.events import Event, TrialRecorded
from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.records import Paused
from nas.study.trials import AnyTrial

MARGIN = 1.1
"""By this factor the estimate is longer than the trainings of the same length were."""


class FrontTime:
    """Decides when the front is to be trained; an observer of the search.

    Args:
        rungs: the epochs of an inherited training, and those of a whole one.
        workers: number of trainings at a time.
        remaining_s: the time that is left of the budget, in seconds.
        show: shows a line to the user.
        trials: those of the study so far.
    """

    def __init__(
        self,
        rungs: tuple[int, int],
        workers: int,
        remaining_s: Callable[[], float],
        show: Callable[[str], None],
        trials: Iterable[AnyTrial] = (),
    ) -> None:
        self.rungs = rungs
        self.workers = workers
        self.remaining_s = remaining_s
        self.show = show
        self.is_due = False
        """True once no further trial may start."""
        self._wall_s: dict[int, float] = {}  # trial -> duration of its inherited training
        for trial in trials:
            if Inheritance.from_attributes(trial.user_attrs) is not None and not trial.state.is_finished():
                self._add(trial.number, trial.user_attrs.get("wall_s"))

    def notify(self, event: Event) -> None:
        """Remember how long an inherited training took."""
        if isinstance(event, TrialRecorded) and isinstance(event.outcome, Paused):
            self._add(event.number, event.outcome.trained.wall_s)

    def _add(self, number: int, wall_s: float | None) -> None:
        if wall_s is not None:
            self._wall_s[number] = float(wall_s)

    def check(self, ladder: Ladder) -> bool:
        """True if no further trial may start; it stays so."""
        if not self.is_due:
            front = ladder.paused_front(self.rungs[0])
            needed_s = self.needed_s(front)
            self.is_due = bool(front) and self.remaining_s() <= needed_s
            if self.is_due:
                needed = duration_word(timedelta(seconds=max(1, round(needed_s))))
                trials = f"{len(front)} trial{'' if len(front) == 1 else 's'}"
                self.show(
                    f"no further trial starts: the front ({trials}) is trained from scratch in the rest of the time budget"
                    f" (about {needed})"
                )
        return self.is_due

    def needed_s(self, front: Iterable[int]) -> float:
        """An estimate of how long the trials that run and then those of the `front`, from scratch, take, in seconds.

        It is too short where the trials that run take much longer than those that have ended. One of them for each worker may
        enter the front. Workers that take the next training whenever they are free end within the mean load plus the longest
        training (Graham 1966).
        """
        walls_s = list(self._wall_s.values())
        if not walls_s:
            return 0.0
        mean_s = sum(walls_s) / len(walls_s)
        inherited_s = [self._wall_s.get(number, mean_s) for number in front] + [mean_s] * self.workers
        scratch_s = [seconds * self.rungs[1] / self.rungs[0] for seconds in inherited_s]
        load_s = (sum(scratch_s) - max(scratch_s)) / self.workers + max(scratch_s)
        return max(walls_s) + MARGIN * load_s
