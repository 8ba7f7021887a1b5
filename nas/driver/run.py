"""Runs a search from its configuration to a complete study: images, space, storage, sampler, then the trials.

The same call continues an interrupted search. ray is imported only when a search runs; torch in workers, and here only to count
the GPUs that a study asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.trial import TrialState

from nas.analysis.dataset_summary import leak_warnings
from nas.analysis.imbalance import imbalance_warning
from nas.driver.ask_tell import AskTell
from nas.driver.dispatch import TrialDispatcher
from nas.driver.display import Display, NoDisplay
from nas.driver.driver_folders import driver_folder, remove_empty_folders
from nas.driver.garbage import frozen_heap
from nas.driver.home import StudyHome, find_home
from nas.driver.left_files import remove_left_files
from nas.driver.operator_timing import OperatorTiming
from nas.driver.plan import create_halving, create_sampler, evaluation_settings
from nas.driver.reading import ImageReader
from nas.driver.retry import enqueue_failed
from nas.driver.start_checks import check_decoded, check_new_study, check_resumed
from nas.driver.storage_retry import StorageRetry
from nas.driver.study_files import published
from nas.driver.warm_start import (
    PriorAccuracies,
    check_earlier_study,
    earlier_study_attributes,
    first_architectures,
    prior_accuracies,
)
from nas.errors import ConfigError, NothingFeasibleError, StorageError, StudyError
from nas.evaluation.settings import EvaluationSettings, StudyPlace
from nas.execution.base import Executor, open_executor
from nas.execution.interrupts import Interrupts, TimeBudgetExceeded
from nas.study.config import StudyConfig
from nas.study.continuation import check_continues, continue_config
from nas.study.dataset import dataset_record
from nas.study.environment import ATTRIBUTE as ENVIRONMENTS, with_current
from nas.study.events import Observer
from nas.study.images import are_gone, prepare_images, remove_other_files
from nas.study.layout import DATA, OPERATORS, RAY, WORKERS, trial_folder
from nas.study.leases import new_driver_id
from nas.study.limits import find_cheapest
from nas.study.lock import FolderLock
from nas.study.measuring_device import ATTRIBUTE as MEASURING_DEVICE, SameDevice, check_kind
from nas.study.segments import WorkerFiles
from nas.study.storage_errors import DATABASE_ERRORS, machine_errors
from nas.study.storage_url import StorageUrl
from nas.study.stored import StoredStudy
from nas.study.transactions import merge_attribute
from nas.study.trial_database import DatabaseTrials, driving
from nas.study.trials import failed_trials, outcome_name
from search_space import SearchSpace
from trainers.data.prepared import DatasetInfo
from trainers.files import remove_temporary_files

Result = TypeVar("Result")

DRAWS_PER_DRIVER = 1_000_003
"""Drivers that start together draw with seeds that are so far apart."""


@dataclass(frozen=True)
class SearchEnd:
    """The end of a search.

    Args:
        study: the study.
        was_complete: True if the study was complete before.
        is_out_of_time: True if the time budget was used up before all trials were trained.
    """

    study: StoredStudy
    was_complete: bool
    is_out_of_time: bool = False


def run_search(
    config: StudyConfig,
    folder: Path,
    display: Display | None = None,
    observers: Sequence[Observer] = (),
    open_with: Callable[[], AbstractContextManager[Executor]] | None = None,
    retry_failed: bool = False,
    storage: StorageUrl | None = None,
) -> SearchEnd:
    """Run the study of `config` in `folder`, or continue it. Call from the main thread.

    Args:
        config: the configuration of the study.
        folder: the folder of the study; it is created if it does not exist.
        display: shows the search; None: nothing is shown.
        observers: receive every event of the trials.
        open_with: opens the executor; None: the executor that the configuration names.
        retry_failed: failed trials are repeated first, each once.
        storage: the database, which several drivers may share; None: that of the configuration, or the one in the folder.

    Raises:
        ConfigError: the configuration, its data or its space break a rule, or the study in `folder` has another configuration.
        UsageError: another search runs in the folder.
        MachineError: the disk, the memory or a device of the machine failed; the same call continues the search.
        NothingFeasibleError: no trial satisfies the limits.
    """
    interrupts = Interrupts(config.time_budget)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with (
        interrupts.handle_signals(),
        machine_errors(folder),
        ImageReader(config, folder / DATA) as images,
    ):
        home = find_home(config, folder, storage)
        if not home.holds_study:
            check_new_study(config, folder, images)
        with home.locked(display) as lock:
            if home.holds_study:
                study = home.open()
                config = continue_config(config, study.config)
                check_kind(config, study.user_attrs)
                study.keep_config()
                remove_left_files(study, home.place)
                images.continue_study(config, study)
                failed = failed_trials(study.trials) if retry_failed else []
                if retry_failed and not failed and display is not None:
                    display.warn("no trial has failed; there is none to repeat")
                if not failed and (study.is_complete(config.trials) or study.is_exhausted):
                    _restore_images(study, config)
                    check_feasible(study, config)
                    return SearchEnd(study, was_complete=True)
                check_resumed(config)
            run = _SearchRun(
                config, home, display or NoDisplay(), tuple(observers), interrupts, images, lock, retry_failed
            )
            try:
                return SearchEnd(run.run(open_with or run.open_executor), was_complete=False)
            except TimeBudgetExceeded:
                study = StorageRetry(run.display.warn).wait_for(home.open, interrupts.check_signals)
                return SearchEnd(study, was_complete=False, is_out_of_time=True)


def open_or_create_study(config: StudyConfig, folder: Path, storage: StorageUrl | None = None) -> StoredStudy:
    """The study of `config` in `folder`; if there is none yet, its images are decoded and it is created.

    Raises:
        ConfigError: the configuration, its data or its space break a rule, or the study in `folder` has another one.
        UsageError: a search runs in the folder while the study would be created.
    """
    home = find_home(config, folder, storage)
    if home.holds_study:
        study = home.open()
        check_continues(config, study.config)
        return study
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with ImageReader(config, folder / DATA) as images:
        check_new_study(config, folder, images)
        with home.locked():
            images.decode()
            space = check_decoded(config, images)
            return _open_or_create(config, home, space, images.result()[1])


def _open_or_create(config: StudyConfig, home: StudyHome, space: SearchSpace, dataset: DatasetInfo) -> StoredStudy:
    if not home.holds_study:
        # The cheapest network is on the front whatever its accuracy, so it is trained first.
        first = [find_cheapest(space, "macs", config.seed), *first_architectures(config, space)]
        more = earlier_study_attributes(config)
        study = StoredStudy.create(home.folder, config, space, dataset, first, home.storage, more)
        if home.storage is None:
            return study
        check_continues(config, study.config)  # another driver may have created it meanwhile
    study = home.open()
    study.check_images(config, dataset)
    study.name_values()
    return study


def _restore_images(study: StoredStudy, config: StudyConfig) -> None:
    """Decode the images again if they are missing; the report and an export need them."""
    try:
        study.images()
    except StudyError:
        prepare_images(config, study.folder / DATA, reading_version=study.reading_version)


@dataclass
class _SearchRun:
    """A search in progress."""

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
            prior = self._wait_for(lambda: self._prior_accuracies(space))
            study = self._wait_for(lambda: _open_or_create(config, self.home, space, dataset))
            timing = OperatorTiming(config, self.folder / OPERATORS, settings.measuring)
            tables = timing.tables(space, executor, self.display, self.interrupts)
            self.lock.end_start()
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
            self._run_trials(study, trials, space, settings, executor)
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
        executor: Executor,
    ) -> None:
        from nas.evaluation.factory import EvaluatorFactory

        config, home = self.config, self.folder.resolve()
        files = WorkerFiles(self._own_folder(WORKERS))
        workers_name = files.folder.relative_to(home).as_posix()
        place = StudyPlace.new(home, study.fingerprint, config.files, workers_name)
        workers = executor.allocation.workers
        self._wait_for(lambda: study.record_target(config.trials, config.time_budget, workers))
        with (
            self.display.trials() as observer,
            files.opened(place.nonce),
            published(settings.data_file, place) as checkpoints,
        ):
            create = partial(
                AskTell,
                study.optuna,
                space,
                study.objectives,
                config.trials,
                folder_of=lambda number: trial_folder(home, number),
                limits=config.limits,
                seed=config.seed,
                halving=create_halving(config),
                observers=(observer, *([] if checkpoints is None else [checkpoints]), *self.observers),
                workers=files,
                store=trials,
                mark_of=None if checkpoints is None else checkpoints.mark_of,
                kind=config.throughput.device if settings.measuring.objectives else None,
                check_device=self._device_check(trials),
            )
            ask_tell = self._wait_for(create)
            self._wait_for(lambda: ask_tell.start(workers))
            dispatcher = TrialDispatcher(
                ask_tell,
                workers,
                self.interrupts,
                self.lock.check,
                on_message=self.display.warn,
                on_workers=study.record_workers,
                retry=self.retry,
                wait_s=config.resources.wait_for_cluster.total_seconds(),
            )
            try:
                with frozen_heap(), self.interrupts.gently(partial(self._request_stop, files)):
                    executor.run(EvaluatorFactory(replace(settings, place=place)), dispatcher, home)
                dispatcher.settle()
            except BaseException:
                # The weights are on the disk, with the outcome in their header.
                with suppress(StorageError, *DATABASE_ERRORS):
                    dispatcher.write()
                for number in ask_tell.state.open:  # what their workers, which have ended, may have left
                    remove_temporary_files(trial_folder(home, number))
                raise
        self._wait_for(lambda: study.set_end_reason(ask_tell.proposer.end_reason))

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


def check_feasible(study: StoredStudy, config: StudyConfig) -> None:
    """Raise `NothingFeasibleError` if no trial of the study is complete."""
    trials = study.trials
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return
    failures = [trial.user_attrs["failure"] for trial in trials if trial.user_attrs.get("failure")]
    if failures:
        raise NothingFeasibleError(f"all {len(failures)} trainings failed; the last: {failures[-1]}")
    refusals = [trial.user_attrs["refused"] for trial in trials if outcome_name(trial) == "refused"]
    last = f"; the last: {refusals[-1]}" if refusals else ""
    raise NothingFeasibleError(f"no architecture satisfies the limits {config.limits}: {len(refusals)} refused{last}")
