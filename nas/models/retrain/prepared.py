"""Full trainings that were checked, before anything is written: which runs there are, and which of them have ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.models.retrain.measuring import study_measuring
from nas.models.retrain.plan import RetrainJob, RetrainSettings, Workers, finished_run, plan_workers
from nas.models.retrain.request import RetrainRequest
from nas.models.retrain.study_resources import study_resources
from nas.models.retrain.subjects import Subject
from nas.models.retrain.teachers import Teacher
from nas.study.content import StudyContent
from nas.study.retrained import RetrainedRun
from trainers.data.description import DatasetInfo
from trainers.training.recipe_config import RecipeConfig

CLUSTER = "ray_tune"
"""The executor of `--address`."""


@dataclass(frozen=True)
class PreparedRetraining:
    """The runs of a request.

    Args:
        study: gives the images, trials and resources.
        request: what to train.
        root: the folder whose `retrained/` gets the results.
        data_file: the decoded images.
        images: their description.
        recipe: how to train, with the augmentation of these images.
        digest: of the recipe and the teacher.
        teacher: the network whose outputs are distilled; None: there is none.
        subjects: the networks, in the order of the request.
        jobs: the runs, the longest first.
    """

    study: StudyContent
    request: RetrainRequest
    root: Path
    data_file: Path
    images: DatasetInfo
    recipe: RecipeConfig
    digest: str
    teacher: Teacher | None
    subjects: tuple[Subject, ...]
    jobs: tuple[RetrainJob, ...]

    def pending(self) -> tuple[RetrainJob, ...]:
        """The runs that have not ended yet.

        Raises:
            UsageError: a record is that of other images, or of another architecture.
        """
        return tuple(job for job in self.jobs if finished_run(job, self.images.fingerprint) is None)

    def ended(self) -> tuple[RetrainedRun, ...]:
        """The records of the runs that have ended, in the order of the subjects, then of the seeds."""
        places = {subject.name: place for place, subject in enumerate(self.subjects)}
        ordered = sorted(self.jobs, key=lambda job: (places[job.subject.name], job.seed))
        runs = [finished_run(job, self.images.fingerprint) for job in ordered]
        return tuple(run for run in runs if run is not None)

    def plan_workers(self) -> Workers:
        """The workers that the request and the study ask for.

        Raises:
            UsageError: there is no such device, or the machine lacks the resources.
        """
        resources, changes = study_resources(self.study), dict[str, Any]()
        if self.request.workers is not None:
            changes["workers"] = self.request.workers
        if self.request.is_local or self.request.address is not None:
            changes["address"] = self.request.address
        if self.request.address is not None:
            changes["executor"] = CLUSTER
        return plan_workers(resources.model_copy(update=changes), self.request.device, len(self.jobs))

    def settings(self, workers: Workers, stop_file: Path) -> RetrainSettings:
        """What all runs share on `workers`, which stop when `stop_file` exists."""
        silence = study_resources(self.study).max_silence
        return RetrainSettings(
            data_file=self.data_file.resolve(),
            fingerprint=self.images.fingerprint,
            recipe=self.recipe,
            digest=self.digest,
            teacher=self.teacher,
            threads=workers.threads,
            device=workers.device,
            stop_file=stop_file,
            max_silence_s=None if silence is None else silence.total_seconds(),
            measuring=study_measuring(self.study),
        )
