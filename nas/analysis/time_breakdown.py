"""What the workers' time of a study went into."""

from __future__ import annotations

from dataclasses import dataclass

from nas.analysis.results import Results


@dataclass(frozen=True)
class Times:
    """Seconds, summed over the trials that trained.

    Args:
        trials: how many those are.
        train_s: in training steps.
        validation_s: in validation.
        overhead_s: within trials, in neither: building, measuring, standing still for others' measurements, writing.
        idle_s: between trials, waiting for the next.
    """

    trials: int
    train_s: float
    validation_s: float
    overhead_s: float
    idle_s: float

    @property
    def worker_s(self) -> float:
        """All of it."""
        return self.train_s + self.validation_s + self.overhead_s + self.idle_s

    @property
    def training_share(self) -> float | None:
        """Of the workers' time; None if there was none."""
        return self.train_s / self.worker_s if self.worker_s > 0 else None

    @property
    def validation_share(self) -> float | None:
        """Likewise."""
        return self.validation_s / self.worker_s if self.worker_s > 0 else None

    @property
    def overhead_s_per_trial(self) -> float | None:
        """Seconds around the training of a trial; None if there was none."""
        return (self.overhead_s + self.idle_s) / self.trials if self.trials else None


def times_of(results: Results) -> Times:
    """The times of the trials that trained, to the end or to a rung."""
    timed = results.trials.dropna(subset=["train_s", "wall_s"])
    train_s, wall_s, overhead_s, idle_s = (
        float(timed[name].sum()) for name in ("train_s", "wall_s", "overhead_s", "idle_s")
    )
    return Times(len(timed), train_s, max(0.0, wall_s - overhead_s - train_s), overhead_s, idle_s)
