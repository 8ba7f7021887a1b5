"""The runs of a command: one for each network and seed, the settings that they share, and how a worker says that one ended.

Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nas.errors import UsageError
from nas.evaluation.settings import StudyPlace
from nas.models.retrain.plan.measuring import RunMeasuring
from nas.models.retrain.subjects.subject import Subject
from nas.models.retrain.subjects.teachers import Teacher
from nas.study.retrained import RESULT, RetrainedRun, read_run, run_folder
from trainers.training.recipe_config import RecipeConfig

MAX_SEEDS = 1_000
FIXED_WORK_MACS = 1e5
"""The time per image that does not depend on the network, as MACs."""
UNKNOWN_MACS = 1e8
"""The work of a network whose MACs cannot be counted."""

Outcome = Literal["finished", "interrupted", "failed", "machine", "misused"]
"""The record is written; the checkpoint is, since the driver asked to stop; the training, the machine or the use is at fault."""


@dataclass(frozen=True)
class RetrainJob:
    """One run.

    Args:
        subject: the network.
        seed: of its initial weights and its training.
        folder: of its files, as text.
        weights_folder: the folder with the weights of the trial that it starts from, as text; None: it does not start from any.
    """

    subject: Subject
    seed: int
    folder: str
    weights_folder: str | None = None

    @property
    def label(self) -> str:
        """The name of the run, for messages: `trial-12 seed 0`."""
        return f"{self.subject.name} seed {self.seed}"

    @property
    def result_file(self) -> Path:
        """The file of its record."""
        return Path(self.folder) / RESULT

    @property
    def work(self) -> float:
        """The duration of an epoch relative to those of other runs."""
        return (UNKNOWN_MACS if self.subject.macs is None else self.subject.macs) + FIXED_WORK_MACS

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        fields = {"seed": self.seed, "folder": self.folder, "weights_folder": self.weights_folder}
        return {"subject": self.subject.to_dict(), **fields}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RetrainJob:
        """The inverse of `to_dict`."""
        return cls(**{**plain, "subject": Subject.from_dict(plain["subject"])})


@dataclass(frozen=True)
class RunEnd:
    """How a run ended.

    Args:
        outcome: see `Outcome`.
        reason: what is at fault, in one line; empty if nothing is.
        traceback: of a failure; empty without.
    """

    outcome: Outcome
    reason: str = ""
    traceback: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"outcome": self.outcome, "reason": self.reason, "traceback": self.traceback}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> RunEnd:
        """The inverse of `to_dict`."""
        return cls(plain["outcome"], plain["reason"], plain["traceback"])


@dataclass(frozen=True)
class RetrainSettings:
    """What all runs of a command share.

    Args:
        data_file: the decoded images.
        fingerprint: of the images.
        recipe: how to train.
        digest: of the recipe and the teacher.
        teacher: the network whose outputs are distilled; None: there is none.
        threads: CPU threads of each worker.
        device: the device of all workers; None: each has that of its place.
        stop_file: a file whose existence asks the workers to stop.
        max_silence_s: seconds without progress after which a run is ended; None: never.
        gpus: GPUs of each worker, 0 to 1; a fraction if several workers share one.
        place: where the files of the runs are; None: all workers see `data_file` and the folders of their runs.
        measuring: how throughput is measured; None: it is not.
    """

    data_file: Path
    fingerprint: str
    recipe: RecipeConfig
    digest: str
    teacher: Teacher | None
    threads: int
    device: str | None
    stop_file: Path
    max_silence_s: float | None = None
    gpus: float = 0.0
    place: StudyPlace | None = None
    measuring: RunMeasuring | None = None


def recipe_digest(recipe: RecipeConfig, teacher: Teacher | None) -> str:
    """The digest of a recipe and, where there is one, of its teacher."""
    if teacher is None:
        return recipe.digest()
    content = json.dumps([recipe.digest(), teacher.digest])
    return hashlib.sha256(content.encode()).hexdigest()


def create_jobs(
    subjects: Sequence[Subject], seeds: int, root: Path, digest: str, trial_weights: Mapping[str, Path]
) -> tuple[RetrainJob, ...]:
    """The runs, the longest first, so that none starts last while other workers are idle.

    Args:
        subjects: the networks.
        seeds: number of runs of each, with the seeds 0, 1, ...
        root: the folder whose `retrained/` gets the results.
        digest: of the recipe.
        trial_weights: name of a subject -> the folder with the weights of the trial that it starts from.

    Raises:
        UsageError: the number of seeds is out of its range.
    """
    if not 1 <= seeds <= MAX_SEEDS:
        raise UsageError(f"--seeds: must be from 1 to {MAX_SEEDS:,}, found {seeds}")
    jobs = [
        RetrainJob(
            subject,
            seed,
            str(run_folder(root, subject.name, digest, seed)),
            str(folder) if (folder := trial_weights.get(subject.name)) else None,
        )
        for seed in range(seeds)
        for subject in subjects
    ]
    return tuple(sorted(jobs, key=lambda job: (job.seed, -job.work)))


def finished_run(job: RetrainJob, fingerprint: str) -> RetrainedRun | None:
    """The record of `job` if it has ended; None if it has not, or its record is damaged.

    Raises:
        UsageError: the record is that of other images, or of another architecture of this name.
    """
    if not job.result_file.exists():
        return None
    try:
        run = read_run(job.result_file)
    except ValueError:
        return None
    architecture = job.subject.architecture
    if run.fingerprint != fingerprint:
        raise UsageError(f"{job.folder}: holds a run on other images; --out DIR names another folder")
    if run.architecture_id != (None if architecture is None else architecture.id):
        rule = f"holds a run of the architecture {run.architecture_id}; --out DIR names another folder"
        raise UsageError(f"{job.folder}: {rule}")
    return run
