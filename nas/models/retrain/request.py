"""What to train in full, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nas.analysis.retrained import RetrainedModel, retrained_models
from nas.errors import StudyError, UsageError
from nas.models.retrain.subjects.subject import FrontSelection, Subject
from nas.study.config import MAX_WORKERS
from nas.study.retrained import RetrainedRun
from trainers.training.recipe_config import RecipeConfig


@dataclass(frozen=True)
class RetrainRequest:
    """What to train in full, and how.

    Args:
        recipe: how to train.
        words: trials, files and presets (`nas.models.retrain.subjects.subject`).
        front: which trials of the front, too; None: none.
        baselines: names of presets and of timm's models.
        seeds: number of runs of each network.
        teacher: whose outputs are distilled (`nas.models.retrain.subjects.teachers`); None: nobody's.
        device: "cpu", "cuda" or "cuda:1"; None: GPUs if there are any.
        workers: greatest number of runs at a time; None: as many workers as the study has.
        address: of the Ray cluster whose workers train; None: that of the study, if it has one.
        is_local: runs on this machine, where the study names a cluster.
        out: the folder whose `retrained/` gets the results; None: that of the study.
    """

    recipe: RecipeConfig
    words: tuple[str, ...] = ()
    front: FrontSelection | None = None
    baselines: tuple[str, ...] = ()
    seeds: int = 1
    teacher: str | None = None
    device: str | None = None
    workers: int | None = None
    address: str | None = None
    is_local: bool = False
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= MAX_WORKERS:
            raise UsageError(f"--workers: must be from 1 to {MAX_WORKERS:,}, found {self.workers}")
        if self.address is not None and self.is_local:
            raise UsageError(f"--address: must be absent with --local, found {self.address}")
        if not self.words and not self.baselines and self.front is None:
            raise UsageError(
                "retrain: needs something to train: a trial (its number, or best), the file of an architecture, a preset,"
                " --front or --baseline"
            )
        if self.recipe.distillation is not None and self.teacher is None:
            raise UsageError("distillation: must be absent from the recipe without --teacher")


@dataclass(frozen=True)
class Retraining:
    """What came of a request.

    Args:
        root: the folder with the results.
        subjects: the networks, in the order of the request.
        runs: the runs that have ended, by network and seed.
        failures: the name of each run that failed -> the reason.
        trained: number of runs that this call has trained; the others had ended before.
    """

    root: Path
    subjects: tuple[Subject, ...]
    runs: tuple[RetrainedRun, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    trained: int = 0

    @property
    def models(self) -> tuple[RetrainedModel, ...]:
        """The networks with the means of their runs, in the order of the request."""
        places = {subject.name: place for place, subject in enumerate(self.subjects)}
        fingerprint = self.runs[0].fingerprint if self.runs else ""
        return tuple(sorted(retrained_models(self.runs, fingerprint), key=lambda model: places[model.first.name]))

    def check(self) -> None:
        """Raise `StudyError` if a run has failed."""
        if self.failures:
            label, why = next(iter(self.failures.items()))
            total = len(self.failures) + len(self.runs)
            raise StudyError(f"{len(self.failures)} of {total} runs failed; {label}: {why}")
