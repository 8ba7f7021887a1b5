"""The Python API: what `nas search`, `nas front`, `nas report` and `nas export` do, from a script or a notebook.

    from nas import Study, StudyConfig, export, search

    config = StudyConfig.from_file("studies/digits.yaml", "trials=20", "train.epochs=5")
    study = Study.open_or_create("runs/digits", config)
    search(study)                                    # the same call continues what was interrupted
    study.results().front                            # a pandas.DataFrame
    export(study, "best", "model/")

The names are exported by `nas` itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nas.analysis.expected_front import with_expected_front
from nas.analysis.results import Results
from nas.driver.display import Display
from nas.driver.run import run_search
from nas.driver.start.opening import open_or_create_study
from nas.models.front_test_accuracy import measure_test_accuracy
from nas.report import check_out, write
from nas.study.config import StudyConfig
from nas.study.content import StudySnapshot
from nas.study.database.storage import read_study
from nas.study.database.storage_url import StorageUrl
from nas.study.events import Observer
from nas.study.layout import CONFIG
from nas.study.stored import StoredStudy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Study(StoredStudy):
    """A study: a folder with its configuration, its Optuna study `optuna`, and the files of its trials.

    Make one with `Study.open_or_create` or `Study.open`. Everything is read from the folder; a study can be open in several
    processes, of which one at a time may `search`.
    """

    requested: StudyConfig | None = None
    """The configuration to search with; None: the one in the folder."""
    storage: StorageUrl | None = None
    """The database that it was opened with; None: the one that the folder names, or the file in it."""

    @classmethod
    def open(cls, folder: Path | str, storage: StorageUrl | str | None = None) -> Self:
        """The study in `folder`, such as `runs/digits`; a copied `study.db` alone is enough to read it.

        Nothing in the folder changes. `results` reads it again; `optuna` stays as it was when the study was opened.

        Args:
            folder: where it is.
            storage: the URL of the database that the folder names, if it needs a password that is not found elsewhere.

        Raises:
            UsageError: `folder` holds no study, or one that cannot be read.
        """
        url = _url(storage)
        return cls(Path(folder), read_study(Path(folder), url), storage=url)

    @classmethod
    def open_or_create(cls, folder: Path | str, config: StudyConfig, storage: StorageUrl | str | None = None) -> Self:
        """The study of `config` in `folder`; if there is none yet, its images are decoded and it is created.

        Args:
            folder: where it is, or will be.
            config: its configuration. For an existing study it may differ in what may change while a study goes on, such as
                the number of trials.
            storage: the URL of a PostgreSQL database that several drivers may share; None: that of `config`, or a file in the
                folder.

        Raises:
            ConfigError: the configuration, its data or its space break a rule, or the study in `folder` has another one.
            UsageError: a search runs in the folder while the study would be created.
        """
        url = _url(storage)
        stored = open_or_create_study(config, Path(folder), url)
        return cls(stored.folder, stored.optuna, config, url)

    def results(self) -> Results:
        """The trials, the front and the best trial as they are now; call it again to see what happened since."""
        return Results.load(self.folder, self.storage)

    def expected_results(self) -> Results:
        """The results with the front that a model expects if each objective were known without noise.

        Raises:
            UsageError: another version of mixfront configured the study.
        """
        return with_expected_front(self.results())

    def report(self, out: Path | str | None = None) -> Path:
        """Measure the test accuracy of the front, once, and write the report.

        Args:
            out: the HTML file; by default `report.html` in the folder of the study.

        Returns:
            The file written. What could not be tested (images or weights are missing) is logged as a warning.

        Raises:
            UsageError: `out` is a folder, or the folder of the study cannot be written to.
        """
        out_file = None if out is None else Path(out)
        check_out(self.folder, out_file)
        for line in measure_test_accuracy(StudySnapshot.of(self.folder, self.storage)).missing:
            logger.warning("no test accuracy: %s", line)
        return write(self.folder, out_file)

    def _repr_html_(self) -> str:
        return self.results()._repr_html_()


def search(
    study: Study, display: Display | None = None, observers: Sequence[Observer] = (), retry_failed: bool = False
) -> Results:
    """Train trials until the study has as many as its configuration asks for; continues an interrupted search.

    Ctrl-C ends it with `KeyboardInterrupt`; nothing that was trained is lost. Outside the main thread it leaves signals alone.

    Args:
        study: the study.
        display: shows the progress, such as `nas.terminal.progress.TerminalDisplay(rich.console.Console())`; None: no display.
        observers: get every event of the trials (`nas.study.events`).
        retry_failed: the trials that failed are repeated first, each once.

    Returns:
        The results.

    Raises:
        ConfigError: the configuration breaks a rule, or the study was created with another one.
        UsageError: another search runs in the folder, or it holds no configuration.
        MachineError: the disk, the memory or a device of the machine failed; the same call continues the search.
        NothingFeasibleError: no trial satisfies the limits.
    """
    config = study.requested or StudyConfig.from_file(study.folder / CONFIG)
    run_search(config, study.folder, display, observers, retry_failed=retry_failed, storage=study.storage)
    return study.results()


def _url(storage: StorageUrl | str | None) -> StorageUrl | None:
    return StorageUrl.parse(storage) if isinstance(storage, str) else storage
