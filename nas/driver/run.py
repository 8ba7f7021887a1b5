"""Runs a search: finds its study, checks and locks it, and has `SearchRun` do the rest, unless the study is complete.

The same call continues an interrupted search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import optuna

from nas.driver.display import Display, NoDisplay
from nas.driver.feasible import check_feasible
from nas.driver.search_run import SearchRun
from nas.driver.start.home import find_home
from nas.driver.start.left_files import remove_left_files
from nas.driver.start.reading import ImageReader
from nas.driver.start.start_checks import check_new_study, check_resumed
from nas.driver.storage_retry import StorageRetry
from nas.errors import StudyError
from nas.execution.base import Executor
from nas.execution.interrupts import Interrupts, TimeBudgetExceeded
from nas.study.config import StudyConfig
from nas.study.continuation import continue_config
from nas.study.database.storage_errors import machine_errors
from nas.study.database.storage_url import StorageUrl
from nas.study.events import Observer
from nas.study.images import prepare_images
from nas.study.layout import DATA
from nas.study.measuring_device import check_kind
from nas.study.stored import StoredStudy
from nas.study.trials import failed_trials


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
    """Run the study of `config` in `folder`, or continue it. Signals are handled in the main thread only.

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
            run = SearchRun(
                config, home, display or NoDisplay(), tuple(observers), interrupts, images, lock, retry_failed
            )
            try:
                return SearchEnd(run.run(open_with or run.open_executor), was_complete=False)
            except TimeBudgetExceeded:
                study = StorageRetry(run.display.warn).wait_for(home.open, interrupts.check_signals)
                return SearchEnd(study, was_complete=False, is_out_of_time=True)


def _restore_images(study: StoredStudy, config: StudyConfig) -> None:
    """Decode the images again if they are missing; the report and an export need them."""
    try:
        study.images()
    except StudyError:
        prepare_images(config, study.folder / DATA, reading_version=study.reading_version)
