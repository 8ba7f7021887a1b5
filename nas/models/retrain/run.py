"""Full trainings from a request to the records; the same call continues an interrupted one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.errors import UsageError
from nas.execution.base import check_resources
from nas.models.display import SilentDisplay, WorkDisplay
from nas.models.retrain.forecast import Forecast, forecast
from nas.models.retrain.plan.jobs import RetrainJob, RetrainSettings
from nas.models.retrain.plan.workers import LOCAL, Workers, study_resources
from nas.models.retrain.prepare import PreparedRetraining, prepare
from nas.models.retrain.processes.run_counter import shown_runs
from nas.models.retrain.processes.torchrun_team import Rank, Team
from nas.models.retrain.processes.with_executor import RunEnds, remove_empty_folders, train_jobs
from nas.models.retrain.processes.with_torchrun import TrainJobs, follow, lead, plan_together
from nas.models.retrain.request import Retraining, RetrainRequest
from nas.study.content import StudyContent
from nas.study.lock import lock_folder
from nas.study.retrained import RETRAINED, STOP


def run_retrain(study: StudyContent, request: RetrainRequest, display: WorkDisplay | None = None) -> Retraining:
    """Train what `request` asks for and has not ended yet. Under torchrun call from the main thread.

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
    """What `request` would train, and how long that would take. Nothing is written.

    Raises:
        UsageError, SpaceError: the request breaks a rule.
        StudyError: the images or weights of the study are missing or damaged, or a network cannot be trained.
    """
    display = display or SilentDisplay()
    prepared = prepare(study, request, display)
    return forecast(prepared, _check_workers(prepared), display)


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
