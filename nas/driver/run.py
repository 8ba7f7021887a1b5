"""Runs a search from its configuration to a complete study: images, space, storage, sampler, then the trials.

The same call continues an interrupted search. ray is imported only when a search runs, and torch only in workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState

from nas import objectives, sampler as samplers
from nas.driver.ask_tell import AskTell
from nas.driver.dispatch import TrialDispatcher
from nas.driver.display import Display, NoDisplay
from nas.driver.plan import create_halving, create_sampler
from nas.driver.warm_start import first_architectures, prior_accuracies
from nas.errors import NothingFeasibleError, StudyError
from nas.evaluation.settings import EvaluationSettings, MeasuringSettings
from nas.execution.base import Executor, open_executor
from nas.execution.interrupts import Interrupts
from nas.study.config import StudyConfig
from nas.study.events import Observer
from nas.study.images import prepare_images
from nas.study.layout import DATA, OPERATORS, RAY, REFERENCE, trial_folder
from nas.study.limits import check_limits, find_cheapest
from nas.study.lock import lock_folder
from nas.study.operator_table import (
    OperatorTable,
    operator_times,
    operators_to_time,
    predicted_objectives,
    read_tables,
    write_tables,
)
from nas.study.storage import study_exists
from nas.study.stored import StoredStudy
from search_space import SearchSpace
from search_space.operators import Operator
from trainers.data.prepared import READING_VERSION, DatasetInfo
from trainers.measuring.effort import default_batch_size


@dataclass(frozen=True)
class SearchEnd:
    """The end of a search.

    Args:
        study: the complete study.
        was_complete: True if the study was complete before.
    """

    study: StoredStudy
    was_complete: bool


def run_search(
    config: StudyConfig,
    folder: Path,
    display: Display | None = None,
    observers: Sequence[Observer] = (),
    open_with: Callable[[], AbstractContextManager[Executor]] | None = None,
) -> SearchEnd:
    """Run the study of `config` in `folder`, or continue it. Call from the main thread.

    Args:
        config: the configuration of the study.
        folder: the folder of the study; it is created if it does not exist.
        display: shows the search; None: nothing is shown.
        observers: receive every event of the trials.
        open_with: opens the executor; None: the executor that the configuration names.

    Raises:
        ConfigError: the configuration, its data or its space break a rule, or the study in `folder` has another configuration.
        UsageError: another search runs in the folder.
        NothingFeasibleError: no trial satisfies the limits.
    """
    interrupts = Interrupts()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    reading_version = READING_VERSION
    with interrupts.handle_signals(), lock_folder(folder):
        if study_exists(folder):
            study = StoredStudy.open(folder)
            config.check_continues(study.config)
            reading_version = study.reading_version
            if study.is_complete(config.trials):
                _restore_images(study, config)
                return SearchEnd(study, was_complete=True)
        run = _SearchRun(config, folder, display or NoDisplay(), tuple(observers), interrupts, reading_version)
        scratch = folder.resolve() / RAY
        resources = config.resources
        executor_context = open_with() if open_with else open_executor(resources.executor, resources, scratch)
        return SearchEnd(run.run(executor_context), was_complete=False)


def open_or_create_study(config: StudyConfig, folder: Path) -> StoredStudy:
    """The study of `config` in `folder`; if there is none yet, its images are decoded and it is created.

    Raises:
        ConfigError: the configuration, its data or its space break a rule, or the study in `folder` has another one.
        UsageError: a search runs in the folder while the study would be created.
    """
    if study_exists(folder):
        study = StoredStudy.open(folder)
        config.check_continues(study.config)
        return study
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with lock_folder(folder):
        _, dataset = prepare_images(config, folder / DATA)
        space = config.space_on(dataset.image_size, dataset.in_chans, dataset.num_classes)
        check_limits(config, space)
        return _open_or_create(config, folder, space, dataset)


def _open_or_create(config: StudyConfig, folder: Path, space: SearchSpace, dataset: DatasetInfo) -> StoredStudy:
    if study_exists(folder):
        study = StoredStudy.open(folder)
        study.check_images(config, dataset)
        return study
    # The cheapest network is on the front whatever its accuracy, so it is trained first.
    first = [find_cheapest(space, "macs", config.seed), *first_architectures(config, space)]
    return StoredStudy.create(folder, config, space, dataset, first)


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
    folder: Path
    display: Display
    observers: tuple[Observer, ...]
    interrupts: Interrupts
    reading_version: int

    def run(self, executor_context: AbstractContextManager[Executor]) -> StoredStudy:
        """Run until every trial has ended."""
        config = self.config
        with ExitStack() as stack:
            data_file, dataset, executor = self._start(executor_context, stack)
            if (warning := dataset.warning()) is not None:
                self.display.warn(warning)
            space = config.space_on(dataset.image_size, dataset.in_chans, dataset.num_classes)
            check_limits(config, space)
            settings = evaluation_settings(config, self.folder, data_file, executor)
            prior = prior_accuracies(config, space)
            study = _open_or_create(config, self.folder, space, dataset)
            tables = self._operator_tables(space, settings.measuring, executor)
            existing_trials = sum(trial.state != TrialState.WAITING for trial in study.trials)
            study.optuna.sampler = create_sampler(config, space, prior, tables, existing_trials)
            self._run_trials(study, space, settings, executor)
        check_feasible(study, config)
        return study

    def _start(
        self, executor_context: AbstractContextManager[Executor], stack: ExitStack
    ) -> tuple[Path, DatasetInfo, Executor]:
        """Read the images in a thread while the executor starts in this one (Ray insists on the main thread)."""
        thread = stack.enter_context(ThreadPoolExecutor(1))
        with self.display.step("starting") as progress:
            reading = thread.submit(prepare_images, self.config, self.folder / DATA, progress, self.reading_version)
            executor = stack.enter_context(executor_context)
            self.interrupts.arm()  # Ray has replaced the handler of SIGTERM
            data_file, dataset = reading.result()
        return data_file, dataset, executor

    def _operator_tables(
        self, space: SearchSpace, measuring: MeasuringSettings, executor: Executor
    ) -> dict[str, OperatorTable]:
        """The tables that predict measured objectives; operators are timed once, at the start of the study."""
        names = [name for name in predicted_objectives() if name in measuring.objectives]
        budget_s = self.config.throughput.operators_s
        if not samplers.find(self.config.sampler.name).uses_features or not names or not budget_s:
            return {}
        file = self.folder / OPERATORS
        tables = read_tables(file)
        if tables.keys() >= set(names):
            return tables
        operators = operators_to_time(space, self.config.seed)
        with self.display.step("timing operators"):
            for name in names:
                batch_size = objectives.get(name).pass_images or measuring.batch_size
                threads = self.config.resources.cpus_per_trial
                arguments = (operators, batch_size, budget_s / len(names), measuring, threads)
                try:
                    seconds = executor.call(time_operators, *arguments, tick=self.interrupts.check)
                except StudyError as error:
                    self.display.warn(f"operators could not be timed: {error}; throughput is not predicted")
                    return {}
                tables[name] = OperatorTable(operator_times(operators, seconds), batch_size)
        write_tables(tables, file)
        return tables

    def _run_trials(
        self, study: StoredStudy, space: SearchSpace, settings: EvaluationSettings, executor: Executor
    ) -> None:
        from nas.evaluation.factory import EvaluatorFactory

        config, home = self.config, self.folder.resolve()
        with self.display.trials() as observer:
            ask_tell = AskTell(
                study.optuna,
                space,
                study.objectives,
                config.trials,
                folder_of=lambda number: trial_folder(home, number),
                limits=config.limits,
                seed=config.seed,
                halving=create_halving(config),
                observers=(observer, *self.observers),
            )
            ask_tell.start(executor.allocation.workers)
            dispatcher = TrialDispatcher(ask_tell, executor.allocation.workers, self.interrupts)
            try:
                executor.run(EvaluatorFactory(settings), dispatcher)
            finally:
                dispatcher.write()


def evaluation_settings(config: StudyConfig, folder: Path, data_file: Path, executor: Executor) -> EvaluationSettings:
    """The settings that all trials of the study in `folder` share."""
    throughput = config.throughput.model_dump(exclude={"operators_s", "batch_size"})
    device = "cuda" if executor.allocation.gpus > 0 else "cpu"
    measured = tuple(
        name for name in objectives.names("measured") if name in config.objectives or name in config.limits
    )
    measuring = MeasuringSettings(
        objectives=measured,
        limits={name: config.limits[name] for name in measured if name in config.limits},
        batch_size=config.throughput.batch_size or default_batch_size(device),
        reference_file=folder.resolve() / REFERENCE,
        **throughput,
    )
    return EvaluationSettings(
        data_file=data_file.resolve(),
        train=config.train,
        objectives=tuple(name for name in objectives.names("trained") if name in config.objectives),
        gpus=executor.allocation.gpus,
        threads=config.resources.cpus_per_trial,
        measuring=measuring,
    )


def time_operators(
    operators: list[Operator],
    batch_size: int,
    max_time_s: float,
    measuring: MeasuringSettings,
    threads: int,
    device: str,
) -> list[float]:
    """Time a pass of `batch_size` images through each of `operators`, in seconds, until `max_time_s` are used up.

    Runs in a worker.
    """
    import torch

    from nas.evaluation.measurer import Measurer
    from trainers.device_lock import DeviceLock

    torch.set_num_threads(threads)
    return Measurer(measuring, device, DeviceLock(device)).time_operators(operators, batch_size, max_time_s)


def check_feasible(study: StoredStudy, config: StudyConfig) -> None:
    """Raise `NothingFeasibleError` if no trial of the study is complete."""
    trials = study.trials
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return
    failures = [trial.user_attrs["failure"] for trial in trials if trial.user_attrs.get("failure")]
    if failures:
        raise NothingFeasibleError(f"all {len(failures)} trainings failed; the last: {failures[-1]}")
    refusals = [trial.user_attrs["refused"] for trial in trials if trial.user_attrs.get("refused")]
    last = f"; the last: {refusals[-1]}" if refusals else ""
    raise NothingFeasibleError(f"no architecture satisfies the limits {config.limits}: {len(refusals)} refused{last}")
