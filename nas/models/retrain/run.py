"""Full trainings from a request to the records; the same call continues an interrupted one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.analysis.results import Results
from nas.errors import StudyError, UsageError
from nas.execution.base import check_resources
from nas.models.display import SilentDisplay, WorkDisplay
from nas.models.retrain.augmentation import resolve_augment
from nas.models.retrain.forecast import Forecast, forecast
from nas.models.retrain.plan import LOCAL, RetrainJob, RetrainSettings, Workers, create_jobs, recipe_digest
from nas.models.retrain.prepared import PreparedRetraining
from nas.models.retrain.processes import RunEnds, remove_empty_folders, train_jobs
from nas.models.retrain.request import Retraining, RetrainRequest
from nas.models.retrain.run_counter import shown_runs
from nas.models.retrain.study_resources import study_resources
from nas.models.retrain.subjects import (
    Subject,
    baseline_subject,
    check_unique,
    resolve_word,
    shape_of,
    trial_subject,
)
from nas.models.retrain.teachers import find_teacher
from nas.models.retrain.together import TrainJobs, follow, lead, plan_together
from nas.models.retrain.torchrun_team import Rank, Team
from nas.study.content import StudyContent
from nas.study.destinations import check_folder
from nas.study.lock import lock_folder
from nas.study.retrained import RETRAINED, STOP
from trainers.data.description import DatasetInfo, describe
from trainers.errors import DataError
from trainers.training.recipe_config import RecipeConfig, network_options


def run_retrain(study: StudyContent, request: RetrainRequest, display: WorkDisplay | None = None) -> Retraining:
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
    display = display or SilentDisplay()
    rank = Rank.current()
    if rank is None:
        prepared = prepare(study, request, display)
        return _retrain(prepared, _check_workers(prepared), display, None)
    team = Team(rank)
    if not rank.is_first:
        return follow(team)

    def work(train: TrainJobs) -> Retraining:
        if request.workers is not None:
            raise UsageError("--workers: must be absent under torchrun, whose processes train together")
        prepared = prepare(study, request, display)
        device, threads = plan_together(study_resources(study), request.device, rank)
        return _retrain(prepared, Workers(LOCAL, study_resources(study), threads, device), display, train)

    return lead(team, work)


def forecast_retrain(study: StudyContent, request: RetrainRequest, display: WorkDisplay | None = None) -> Forecast:
    """What `request` would train, and how long that would take. Nothing is written. Call from the main thread.

    Raises:
        UsageError, SpaceError: the request breaks a rule.
        StudyError: the images or weights of the study are missing or damaged, or a network cannot be trained.
    """
    display = display or SilentDisplay()
    prepared = prepare(study, request, display)
    return forecast(prepared, _check_workers(prepared), display)


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


def _check_workers(prepared: PreparedRetraining) -> Workers:
    """The workers of all runs.

    Raises:
        UsageError: the machine or the cluster lacks the resources.
    """
    workers = prepared.plan_workers()
    if prepared.pending():
        check_resources(workers.executor, workers.resources)
    return workers


def _retrain(
    prepared: PreparedRetraining, workers: Workers, display: WorkDisplay, train: TrainJobs | None
) -> Retraining:
    """Train the runs that have not ended: by `train` in the processes of torchrun, or else on `workers`."""
    failures: Mapping[str, str] = {}
    pending = prepared.pending()
    if pending:
        with lock_folder(prepared.root / RETRAINED) as lock:
            # Another command may have ended some of them before it released the lock: no run is trained or tested twice.
            pending = prepared.pending()
            settings = prepared.settings(workers, lock.folder.resolve() / STOP)
            if pending and train is None:
                failures = train_jobs(pending, settings, workers, prepared.root.resolve(), display)
            elif pending and train is not None:
                failures = _train_shown(pending, settings, display, train)
    return Retraining(
        prepared.root, prepared.subjects, prepared.ended(), failures, trained=len(pending) - len(failures)
    )


def _train_shown(
    jobs: Sequence[RetrainJob], settings: RetrainSettings, display: WorkDisplay, train: TrainJobs
) -> Mapping[str, str]:
    """Run `jobs` by `train`; returns the name of each run that failed -> the reason."""
    ends = RunEnds(display)
    try:
        with shown_runs(jobs, settings.recipe.epochs, display) as counter:
            train(jobs, settings, ends.add, lambda: counter.look(workers=1))
    finally:
        remove_empty_folders(jobs)
    return ends.failures


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
    from nas.models.retrain.networks import check_growing_images, check_job  # here, since they import torch
    from nas.models.weights import load_trained

    check_growing_images(jobs, recipe)
    trials = {trial.number: trial for trial in study.trials}
    for job in {job.subject.name: job for job in jobs}.values():
        if job.weights_folder is not None and job.subject.trial is not None:
            load_trained(study, trials[job.subject.trial])
        check_job(job, shape_of(images), recipe)
