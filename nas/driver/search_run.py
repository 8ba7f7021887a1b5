"""A search in progress: an executor is started, images are read, the study is opened, and the trials are run.

ray is imported only by the executor; torch in workers, and here only to count and to name the GPUs that a study asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from optuna.trial import TrialState

from nas.analysis.dataset_summary import leak_warnings
from nas.analysis.imbalance import imbalance_warning
from nas.driver.ask_tell import AskTell
from nas.driver.checkpoints import published
from nas.driver.dispatch import TrialDispatcher
from nas.driver.display import Display
from nas.driver.feasible import check_feasible
from nas.driver.front_measuring import FrontMeasuring
from nas.driver.plan import create_front_measuring, create_front_time, create_promotion_rule, evaluation_settings
from nas.driver.start.driver_folders import driver_folder, remove_empty_folders
from nas.driver.start.home import StudyHome
from nas.driver.start.left_files import remove_left_files
from nas.driver.start.measuring_workers import check_measuring_worker
from nas.driver.start.opening import open_or_create
from nas.driver.start.operator_timing import OperatorTiming
from nas.driver.start.reading import ImageReader
from nas.driver.start.retry import enqueue_failed
from nas.driver.start.start_checks import check_decoded
from nas.driver.start.warm_start import check_earlier_study, prior_accuracies
from nas.driver.storage_retry import StorageRetry
from nas.errors import ConfigError, StorageError
from nas.evaluation.settings import EvaluationSettings, StudyPlace
from nas.execution.base import Executor, open_executor
from nas.execution.garbage_collection import frozen_heap
from nas.execution.interrupts import Interrupts, TimeBudgetExceeded
from nas.study.config import StudyConfig
from nas.study.database.leases import new_driver_id
from nas.study.database.storage_errors import DATABASE_ERRORS
from nas.study.database.transactions import merge_attribute
from nas.study.database.trial_database import DatabaseTrials, driving
from nas.study.dataset import dataset_record
from nas.study.environment import ATTRIBUTE as ENVIRONMENTS, with_current
from nas.study.events import Observer
from nas.study.images import are_gone, remove_other_files
from nas.study.layout import OPERATORS, RAY, WORKERS, trial_folder
from nas.study.lock import FolderLock
from nas.study.measuring_device import ATTRIBUTE as MEASURING_DEVICE, SameDevice
from nas.study.segments import WorkerFiles
from nas.study.stored import StoredStudy
from nas.study.study_sampler import PriorAccuracies, create_sampler
from search_space import SearchSpace
from trainers.data.description import DatasetInfo
from trainers.files import remove_temporary_files

Result = TypeVar("Result")

DRAWS_PER_DRIVER = 1_000_003
"""Drivers that start together draw with seeds that are so far apart."""


@dataclass
class SearchRun:
    """A search in progress.

    Args:
        config: the configuration of the study.
        home: where the study is, or will be.
        display: shows the search.
        observers: receive every event of the trials.
        interrupts: signals and the time budget.
        images: the images, while they are read.
        lock: the lock of the study's folder.
        retry_failed: failed trials are repeated first, each once.
    """

    config: StudyConfig
    home: StudyHome
    display: Display
    observers: tuple[Observer, ...]
    interrupts: Interrupts
    images: ImageReader
    lock: FolderLock
    retry_failed: bool

    def __post_init__(self) -> None:
        self.folder = self.home.folder
        self.driver = new_driver_id()
        self.retry = StorageRetry(self.display.warn)

    def open_executor(self) -> AbstractContextManager[Executor]:
        """Open the executor that the configuration names."""
        resources = self.config.resources
        return open_executor(resources.executor, resources, self._own_folder(RAY))

    def _own_folder(self, name: str) -> Path:
        """The folder `name` of the study; where several drivers may run in one, that of this driver in it."""
        folder = self.folder.resolve()
        return folder / name if self.home.storage is None else driver_folder(folder, name, self.driver)

    def _wait_for(self, action: Callable[[], Result]) -> Result:
        """Call `action`, which needs the storage and may be repeated, until it works."""
        return self.retry.wait_for(action, self.interrupts.check)

    def run(self, open_with: Callable[[], AbstractContextManager[Executor]]) -> StoredStudy:
        """Run until every trial has ended, on the executor that `open_with` opens."""
        config = self.config
        with ExitStack() as stack:
            stack.callback(remove_empty_folders, self.folder)
            executor, space = self._start(open_with, stack)
            data_file, dataset = self.images.result()
            self._show_data(data_file, dataset)
            settings = evaluation_settings(config, self.folder, data_file, executor.allocation)
            check_measuring_worker(config, self.home, settings.measuring, executor, self.interrupts.check)
            prior = self._wait_for(lambda: self._prior_accuracies(space))
            study = self._wait_for(lambda: open_or_create(config, self.home, space, dataset))
            timing = OperatorTiming(config, self.folder / OPERATORS, settings.measuring)
            tables = timing.tables(space, executor, self.display, self.interrupts)
            self.lock.end_start()  # of this driver: others may start
            trials = self._wait_for(
                lambda: stack.enter_context(driving(study.optuna, self.folder, self.home.place, self.driver))
            )
            self._wait_for(lambda: merge_attribute(trials.transactions, ENVIRONMENTS, with_current))
            stored = self._wait_for(lambda: study.trials)
            existing_trials = sum(trial.state != TrialState.WAITING for trial in stored)
            draws = existing_trials + DRAWS_PER_DRIVER * trials.index
            study.optuna.sampler = create_sampler(config, space, prior, tables, draws)
            if self.retry_failed:
                self._wait_for(lambda: self._enqueue_failed(study, trials))
            front_measuring = create_front_measuring(config, settings.measuring, tables)
            self._run_trials(study, trials, space, settings, front_measuring, executor)
        if self.home.place is not None:
            self._wait_for(lambda: remove_left_files(study, self.home.place))
        self._wait_for(lambda: check_feasible(study, config))
        return study

    @staticmethod
    def _enqueue_failed(study: StoredStudy, trials: DatabaseTrials) -> None:
        with trials.transactions.alone():  # each once, whichever drivers ask for it
            enqueue_failed(study)

    def _start(
        self, open_with: Callable[[], AbstractContextManager[Executor]], stack: ExitStack
    ) -> tuple[Executor, SearchSpace]:
        """Start the executor in this thread, and read the images in another.

        Images that are decoded at once are checked against the study first; if they do not fit, they are removed again.
        """
        with self.display.step("starting") as progress:
            space = check_decoded(self.config, self.images) if self.images.decode(progress) else None
            executor = stack.enter_context(open_with())
            return executor, space or check_decoded(self.config, self.images)

    def _show_data(self, data_file: Path, dataset: DatasetInfo) -> None:
        """Show what the images were taken for, and what is wrong with them; keep one file of decoded images."""
        record = dataset_record(dataset)
        warnings = [dataset.warning(), imbalance_warning(self.config, record)]
        warnings += [f"data: {leak}" for leak in leak_warnings(record)]
        if self.images.study is not None:
            remove_other_files(data_file, dataset.fingerprint)
            if self.config.data.path is not None and are_gone(self.config):
                path = self.config.data.path
                warnings.append(f"data.path: {path} is gone; the study uses the images that it has decoded")
        self.display.show_data(record)
        for warning in filter(None, warnings):
            self.display.warn(warning)

    def _prior_accuracies(self, space: SearchSpace) -> PriorAccuracies:
        """The accuracies of the earlier study; none if the study exists and the earlier one is gone."""
        try:
            prior = prior_accuracies(self.config, space)
        except ConfigError as error:
            if self.images.study is None:
                raise
            self.display.warn(f"{error}; the search goes on without its accuracies")
            return ()
        if self.images.study is not None:
            check_earlier_study(self.images.study, self.config)
        return prior

    def _run_trials(
        self,
        study: StoredStudy,
        trials: DatabaseTrials,
        space: SearchSpace,
        settings: EvaluationSettings,
        front_measuring: FrontMeasuring | None,
        executor: Executor,
    ) -> None:
        config, home = self.config, self.folder.resolve()
        files = WorkerFiles(self._own_folder(WORKERS))
        place = StudyPlace.new(home, study.fingerprint, config.files, files.folder.relative_to(home).as_posix())
        folder_of = partial(trial_folder, home)
        workers = executor.allocation.workers
        stored = self._wait_for(lambda: study.trials)
        front_time = create_front_time(config, workers, self.interrupts, self.display.warn, stored)
        self._wait_for(lambda: study.record_target(config.trials, config.time_budget, workers))
        with (
            self.display.trials() as observer,
            files.opened(place.nonce),
            published(settings.data_file, place, folder_of) as checkpoints,
        ):
            create = partial(
                AskTell,
                study.optuna,
                space,
                study.objectives,
                config.trials,
                folder_of=folder_of,
                limits=config.limits,
                seed=config.seed,
                promotion_rule=create_promotion_rule(config),
                observers=(observer, checkpoints, *self.observers),
                workers=files,
                store=trials,
                checkpoints=checkpoints,
                kind=config.throughput.device if settings.measuring.objectives else None,
                check_device=self._device_check(trials),
                front_measuring=front_measuring,
                front_time=front_time,
            )
            ask_tell = self._wait_for(create)
            self._wait_for(lambda: ask_tell.start(workers))
            self._execute(study, ask_tell, replace(settings, place=place), executor, files)
        self._wait_for(lambda: study.set_end_reason(ask_tell.proposer.end_reason))
        if front_time is not None and front_time.is_due and ask_tell.state.trained < config.trials:
            raise TimeBudgetExceeded  # what was left of it has trained the front

    def _execute(
        self,
        study: StoredStudy,
        ask_tell: AskTell,
        settings: EvaluationSettings,
        executor: Executor,
        files: WorkerFiles,
    ) -> None:
        """Run the trials that `ask_tell` proposes on the workers of `executor`, until the last has ended."""
        from nas.evaluation.factory import EvaluatorFactory

        home = self.folder.resolve()
        dispatcher = TrialDispatcher(
            ask_tell,
            executor.allocation.workers,
            self.interrupts,
            self.lock.check,
            on_message=self.display.warn,
            on_workers=study.record_workers,
            retry=self.retry,
            wait_s=self.config.resources.wait_for_cluster.total_seconds(),
        )
        try:
            with frozen_heap(), self.interrupts.gently(partial(self._request_stop, files)):
                executor.run(EvaluatorFactory(settings), dispatcher, home)
            dispatcher.settle()
        except BaseException:
            try:
                # The weights are on the disk, with the outcome in their header.
                with suppress(StorageError, *DATABASE_ERRORS):
                    dispatcher.write()  # a fault of the machine is raised: the checkpoints may be missing
            finally:
                for number in ask_tell.state.open:  # what their workers, which have ended, may have left
                    remove_temporary_files(trial_folder(home, number))
            raise

    def _device_check(self, trials: DatabaseTrials) -> Callable[[str | None], None]:
        """What makes sure that all measurements are on one device, if the configuration names none."""
        if self.config.throughput.device is not None:
            return lambda device: None
        settle = partial(merge_attribute, trials.transactions, MEASURING_DEVICE)
        return SameDevice(lambda device: str(settle(lambda stored: stored or device))).check

    def _request_stop(self, files: WorkerFiles) -> None:
        """Ask the workers to write their checkpoints and to stop."""
        with suppress(OSError):  # then they are ended without it
            files.request_stop()
        if not self.interrupts.is_out_of_time:
            self.display.warn("stopping: the trainings write their checkpoints (Ctrl-C once more stops at once)")
