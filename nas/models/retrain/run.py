"""Full trainings from a request to the records; the same call continues an interrupted one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from nas.analysis.results import Results
from nas.errors import StudyError, UsageError
from nas.models.retrain.augmentation import resolve_augment
from nas.models.retrain.display import RetrainDisplay
from nas.models.retrain.plan import (
    RetrainJob,
    RetrainSettings,
    create_jobs,
    finished_run,
    plan_workers,
    recipe_digest,
)
from nas.models.retrain.processes import train_jobs
from nas.models.retrain.request import Retraining, RetrainRequest
from nas.models.retrain.subjects import (
    Subject,
    baseline_subject,
    check_unique,
    resolve_word,
    shape_of,
    trial_subject,
)
from nas.models.retrain.teachers import find_teacher
from nas.models.silent_display import SilentDisplay
from nas.study.config import Resources
from nas.study.content import StudyContent
from nas.study.destinations import check_folder
from nas.study.lock import lock_folder
from nas.study.retrained import RETRAINED
from trainers.data.prepared import DatasetInfo, describe
from trainers.errors import DataError
from trainers.training.recipe_config import RecipeConfig, network_options

STOP = "stop"
"""The file by which workers are asked to stop."""


def run_retrain(study: StudyContent, request: RetrainRequest, display: RetrainDisplay | None = None) -> Retraining:
    """Train what `request` asks for and has not ended yet. Call from the main thread.

    Args:
        study: gives the images, trials and resources.
        request: what to train.
        display: shows the progress; None: nothing is shown.

    Raises:
        UsageError, SpaceError: the request breaks a rule; nothing was trained.
        MachineError: the disk or a device of the machine failed; the same call continues.
        StudyError: the images or weights of the study are missing or damaged.
    """
    _check_alone()
    display = display or SilentDisplay()
    root = request.out or study.folder
    data_file, images = _images(study)
    recipe = resolve_augment(request.recipe, images)
    with display.step("checking"):
        teacher = None if request.teacher is None else find_teacher(request.teacher, root, images)
        subjects = _subjects(study, request, recipe, images)
    digest = recipe_digest(recipe, teacher)
    jobs = create_jobs(subjects, request.seeds, root.resolve(), digest, _weights_folders(study, subjects))
    pending = [job for job in jobs if finished_run(job, images.fingerprint) is None]
    failures: dict[str, str] = {}
    if pending:
        _check_out(root, is_named=request.out is not None)
        with display.step("checking"):
            _check_jobs(study, pending, images, recipe)
        resources = _resources(study)
        workers = plan_workers(resources, request.device, len(jobs))
        with lock_folder(root / RETRAINED) as lock:
            # Another command may have ended some of them before it released the lock: no run is trained or tested twice.
            pending = [job for job in pending if finished_run(job, images.fingerprint) is None]
            settings = RetrainSettings(
                data_file=data_file.resolve(),
                fingerprint=images.fingerprint,
                recipe=recipe,
                digest=digest,
                teacher=teacher,
                threads=workers.threads,
                device=workers.device,
                stop_file=lock.folder.resolve() / STOP,
                max_silence_s=None if resources.max_silence is None else resources.max_silence.total_seconds(),
            )
            failures = train_jobs(pending, settings, workers.resources, display) if pending else {}
    runs = [finished_run(job, images.fingerprint) for job in _in_order(jobs, subjects)]
    ended = tuple(run for run in runs if run is not None)
    return Retraining(root, subjects, ended, failures, trained=len(pending) - len(failures))


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


def _resources(study: StudyContent) -> Resources:
    """Those of the study's configuration; the defaults if another version wrote it, and this one cannot read them."""
    try:
        return Resources.model_validate(study.config.get("resources") or {})
    except ValidationError:
        return Resources()  # type: ignore[call-arg]


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
    from nas.models.retrain.networks import check_job  # here, since they import torch
    from nas.models.weights import load_trained

    trials = {trial.number: trial for trial in study.trials}
    for job in {job.subject.name: job for job in jobs}.values():
        if job.weights_folder is not None and job.subject.trial is not None:
            load_trained(study, trials[job.subject.trial])
        check_job(job, shape_of(images), recipe)


def _in_order(jobs: Sequence[RetrainJob], subjects: Sequence[Subject]) -> list[RetrainJob]:
    """The jobs in the order of the subjects, then of the seeds."""
    places = {subject.name: place for place, subject in enumerate(subjects)}
    return sorted(jobs, key=lambda job: (places[job.subject.name], job.seed))


def _check_alone() -> None:
    """Raise `UsageError` if `torchrun` has started several processes of this command, which would train the same runs."""
    count = os.environ.get("WORLD_SIZE", "1")
    if "LOCAL_RANK" in os.environ and count != "1":
        rule = "starts its own processes, one for each run, and must not be started by torchrun"
        raise UsageError(
            f"retrain: {rule}; `trainers.RecipeTraining` trains one network on several GPUs, found WORLD_SIZE={count}"
        )
