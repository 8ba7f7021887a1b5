"""How the workers of a study spent their time: training, validation, overhead, idle."""

from __future__ import annotations

from dataclasses import dataclass

from nas.analysis.results import Results


@dataclass(frozen=True)
class TimeBreakdown:
    """Seconds, summed over the trials that trained.

    Args:
        trials: number of these trials.
        train_s: in training steps.
        validation_s: in validation.
        overhead_s: within trials, outside both: building, measuring, pauses for exclusive measurements, writing.
        idle_s: between trials, waiting for the next one.
    """

    trials: int
    train_s: float
    validation_s: float
    overhead_s: float
    idle_s: float

    @property
    def worker_s(self) -> float:
        """The sum of all four."""
        return self.train_s + self.validation_s + self.overhead_s + self.idle_s

    @property
    def training_share(self) -> float | None:
        """Training as a share of the workers' time, 0 to 1; None if no trial trained."""
        return self.train_s / self.worker_s if self.worker_s > 0 else None

    @property
    def validation_share(self) -> float | None:
        """Validation as a share of the workers' time, 0 to 1; None if no trial trained."""
        return self.validation_s / self.worker_s if self.worker_s > 0 else None

    @property
    def overhead_s_per_trial(self) -> float | None:
        """Overhead and idle seconds per trial; None if no trial trained."""
        return (self.overhead_s + self.idle_s) / self.trials if self.trials else None


def break_down_time(results: Results) -> TimeBreakdown:
    """The times of all trials that trained, to the last epoch or to a rung."""
    trained = results.summary.dropna(subset=["train_s", "wall_s"])
    train_s, wall_s, overhead_s, idle_s = (
        float(trained[name].sum()) for name in ("train_s", "wall_s", "overhead_s", "idle_s")
    )
    return TimeBreakdown(len(trained), train_s, max(0.0, wall_s - overhead_s - train_s), overhead_s, idle_s)
