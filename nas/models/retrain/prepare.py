"""Finds and checks what a request asks for, before anything is written: which runs there are, and which of them have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.analysis.results import Results
from nas.errors import StudyError, UsageError
from nas.models.display import WorkDisplay
from nas.models.retrain.named_recipes import resolve_augment
from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings, create_jobs, finished_run, recipe_digest
from nas.models.retrain.plan.measuring import study_measuring
from nas.models.retrain.plan.workers import Workers, plan_workers, study_resources
from nas.models.retrain.request import RetrainRequest
from nas.models.retrain.subjects.subject import (
    Subject,
    baseline_subject,
    check_unique,
    resolve_word,
    shape_of,
    trial_subject,
)
from nas.models.retrain.subjects.teachers import Teacher, find_teacher
from nas.study.content import StudyContent
from nas.study.destinations import check_folder
from nas.study.retrained import RETRAINED, RetrainedRun
from trainers.data.description import DatasetInfo, describe
from trainers.errors import DataError
from trainers.training.recipe_config import RecipeConfig, network_options

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


def prepare(study: StudyContent, request: RetrainRequest, display: WorkDisplay) -> PreparedRetraining:
    """Find and check what `request` asks for; nothing is written.

    Raises:
        UsageError, SpaceError: the request breaks a rule.
        StudyError: the images or weights of the study are missing or damaged.
    """
    root = request.out or study.folder
    data_file, images = _images(study)
    recipe = resolve_augment(request.recipe, images)
    with display.step("checking"):
        teacher = None if request.teacher is None else find_teacher(request.teacher, root, images)
        subjects = _subjects(study, request, recipe, images)
    digest = recipe_digest(recipe, teacher)
    jobs = create_jobs(subjects, request.seeds, root.resolve(), digest, _weights_folders(study, subjects))
    prepared = PreparedRetraining(study, request, root, data_file, images, recipe, digest, teacher, subjects, jobs)
    if prepared.pending():
        _check_out(root, is_named=request.out is not None)
        with display.step("checking"):
            _check_jobs(study, prepared.pending(), images, recipe)
    return prepared


def _images(study: StudyContent) -> tuple[Path, DatasetInfo]:
    """The study's decoded images and their description.

    Raises:
        UsageError: they are missing or damaged.
    """
    try:
        file = study.images()
        return file, describe(file)
    except (StudyError, DataError) as error:
        raise UsageError(str(error)) from None


def _subjects(
    study: StudyContent, request: RetrainRequest, recipe: RecipeConfig, images: DatasetInfo
) -> tuple[Subject, ...]:
    results, start = Results.of(study), recipe.start
    subjects = [resolve_word(word, results, images, start) for word in request.words]
    if request.front is not None:
        subjects += [trial_subject(row, start) for row in request.front.rows(results)]
    options = network_options(recipe)
    subjects += [baseline_subject(name, images, options) for name in request.baselines]
    return check_unique(subjects)


def _weights_folders(study: StudyContent, subjects: Sequence[Subject]) -> dict[str, Path]:
    """Name of a subject that starts from the weights of its trial -> their folder."""
    numbers = {s.name: s.trial for s in subjects if s.start == "trial" and s.trial is not None}
    return {name: study.trained_folder(number).resolve() for name, number in numbers.items()}


def _check_out(root: Path, is_named: bool) -> None:
    try:
        check_folder(root / RETRAINED)
    except UsageError as error:
        hint = "" if is_named else "; --out DIR names another"
        raise UsageError(f"{error}{hint}") from None


def _check_jobs(study: StudyContent, jobs: Sequence[RetrainJob], images: DatasetInfo, recipe: RecipeConfig) -> None:
    """Check that each of `jobs` can begin: its network takes the recipe's options, and its weights are there.

    Raises:
        UsageError: not.
        StudyError: the weights of a trial are missing, damaged, or those of another training.
    """
    from nas.models.retrain.training.networks import check_growing_images, check_job  # here, since they import torch
    from nas.models.weights import load_trained

    check_growing_images(jobs, recipe)
    trials = {trial.number: trial for trial in study.trials}
    for job in {job.subject.name: job for job in jobs}.values():
        if job.weights_folder is not None and job.subject.trial is not None:
            load_trained(study, trials[job.subject.trial])
        check_job(job, shape_of(images), recipe)
