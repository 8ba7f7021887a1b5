"""Full trainings on processes of this machine, from a request to the records; the same call continues an interrupted one.

Every run is a task of its own: a worker that dies loses no finished run, and its task goes on from the last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nas.analysis.results import Results
from nas.analysis.retrained import RetrainedModel, retrained_models
from nas.errors import MachineError, StudyError, UsageError
from nas.execution.base import Loss, Task, open_executor
from nas.execution.interrupts import Interrupts
from nas.execution.queue import TaskQueue
from nas.models.retrain.augmentation import resolve_augment
from nas.models.retrain.factory import RetrainWorkerFactory
from nas.models.retrain.outcomes import RunEnd
from nas.models.retrain.plan import (
    RetrainJob,
    RetrainSettings,
    create_jobs,
    finished_run,
    plan_workers,
    recipe_digest,
)
from nas.models.retrain.progress_file import read_epochs
from nas.models.retrain.subjects import (
    FrontSelection,
    Subject,
    baseline_subject,
    check_unique,
    resolve_word,
    shape_of,
    trial_subject,
)
from nas.models.retrain.teachers import find_teacher
from nas.study.config import Resources
from nas.study.content import StudyContent
from nas.study.destinations import check_folder
from nas.study.layout import RAY
from nas.study.lock import lock_folder
from nas.study.retrained import RETRAINED, RetrainedRun
from trainers.data.prepared import DatasetInfo, describe
from trainers.errors import DataError
from trainers.training.recipe_config import RecipeConfig, network_options

STOP = "stop"
LOOK_INTERVAL_S = 0.5
"""Seconds between two looks at how far the runs are."""


class RetrainDisplay(Protocol):
    """Shows the progress of full trainings (`nas.terminal.progress.TerminalDisplay` is one)."""

    def step(self, text: str) -> AbstractContextManager[Any]:
        """Show a step before the trainings."""

    def counter(self, text: str, total: int, done: int = 0, work: float | None = None) -> AbstractContextManager[Any]:
        """Show a count; yields the function to call with the number of finished epochs and their weight."""

    def warn(self, text: str) -> None:
        """Show a message that does not end the work."""


class SilentDisplay:
    """Shows nothing."""

    def step(self, text: str) -> AbstractContextManager[Any]:
        """Show nothing."""
        return nullcontext()

    def counter(self, text: str, total: int, done: int = 0, work: float | None = None) -> AbstractContextManager[Any]:
        """Show nothing."""
        return nullcontext(lambda count=1, weight=None: None)

    def warn(self, text: str) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class RetrainRequest:
    """What to train in full, and how.

    Args:
        recipe: how to train.
        words: trials, files and presets (`nas.models.retrain.subjects`).
        front: which trials of the front, too; None: none.
        baselines: names of presets and of timm's models.
        seeds: number of runs of each network.
        teacher: whose outputs are distilled (`nas.models.retrain.teachers`); None: nobody's.
        device: "cpu", "cuda" or "cuda:1"; None: GPUs if there are any.
        out: the folder whose `retrained/` gets the results; None: that of the study.
    """

    recipe: RecipeConfig
    words: tuple[str, ...] = ()
    front: FrontSelection | None = None
    baselines: tuple[str, ...] = ()
    seeds: int = 1
    teacher: str | None = None
    device: str | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
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
        resources = Resources.model_validate(study.config.get("resources") or {})
        workers = plan_workers(resources, request.device, len(jobs))
        with lock_folder(root / RETRAINED) as lock:
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
            failures = _train(pending, settings, workers.resources, display)
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


def _train(
    jobs: Sequence[RetrainJob], settings: RetrainSettings, resources: Resources, display: RetrainDisplay
) -> dict[str, str]:
    """Run `jobs`; returns the name of each run that failed -> the reason."""
    interrupts = Interrupts()
    failures: dict[str, str] = {}
    settings.stop_file.unlink(missing_ok=True)
    for job in jobs:
        Path(job.folder).mkdir(parents=True, exist_ok=True)
    with interrupts.handle_signals(), _shown(jobs, settings.recipe.epochs, display) as look:

        def on_tick() -> None:
            interrupts.check()
            if interrupts.is_stopping:
                queue.tasks.clear()
            look()

        def on_result(task: Task, result: Mapping[str, Any]) -> None:
            end = RunEnd.from_dict(result)
            if end.outcome == "misused":
                raise UsageError(f"{task.name}: {end.reason}")
            if end.outcome == "machine":
                raise MachineError(f"{task.name}: {end.reason}; the same command continues")
            if end.outcome == "failed":
                fail(task, end.reason)

        def fail(task: Task, reason: str) -> None:
            failures[task.name] = reason
            display.warn(f"{task.name} failed: {reason}")

        def on_loss(task: Task, loss: Loss) -> None:
            fail(task, loss.reason)

        queue = TaskQueue([Task(job.label, job.to_dict()) for job in jobs], on_result, on_tick, on_loss)
        try:
            with (
                open_executor("local", resources, settings.stop_file.parent / RAY) as executor,
                interrupts.gently(settings.stop_file.touch),
            ):
                executor.run(RetrainWorkerFactory(settings), queue)
        finally:
            settings.stop_file.unlink(missing_ok=True)
    return failures


@contextmanager
def _shown(jobs: Sequence[RetrainJob], epochs: int, display: RetrainDisplay) -> Iterator[Any]:
    """Show the finished epochs of all `jobs`; yields the function that looks how many there are."""
    seen = {job.label: min(read_epochs(Path(job.folder)), epochs) for job in jobs}
    left = sum(job.work * (epochs - seen[job.label]) for job in jobs)
    looked_s = time.monotonic()
    with display.counter("training", epochs * len(jobs), sum(seen.values()), left) as advance:

        def look() -> None:
            nonlocal looked_s
            if time.monotonic() - looked_s < LOOK_INTERVAL_S:
                return
            looked_s = time.monotonic()
            for job in jobs:
                ended = epochs if job.result_file.exists() else min(read_epochs(Path(job.folder)), epochs)
                if ended > seen[job.label]:
                    count = ended - seen[job.label]
                    advance(count, count * job.work)
                    seen[job.label] = ended

        yield look
