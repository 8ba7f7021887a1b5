"""A study as the checks see it: its content at one moment, and the files of its trials."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from optuna.trial import TrialState

from nas.errors import StudyError, UsageError
from nas.objectives import Objective
from nas.study.content import StudySnapshot
from nas.study.database.drivers import drivers_of
from nas.study.database.storage_url import StoragePlace
from nas.study.file_store import trial_name
from nas.study.layout import DATABASE, TRIALS, WEIGHTS, place_file, trial_folder
from nas.study.trial_record import TrialRecord
from nas.study.url_store import UrlStore, check_url
from nas.study.weights_header import WeightsHeader
from trainers.training.weights_file import DamagedWeightsError, check_tensors

GRACE_S = 60.0
"""Seconds after the end of a trial in which a running search may still tidy up its files."""

WeightsState: TypeAlias = Literal["present", "missing", "damaged", "foreign"]


@dataclass(frozen=True)
class TrialWeights:
    """The weights of a complete trial.

    Args:
        state: whether they are those of the trial.
        text: what is wrong with them; empty if nothing is.
        header: their header; None if it cannot be read.
    """

    state: WeightsState
    text: str = ""
    header: WeightsHeader | None = None


@dataclass(frozen=True)
class ExaminedStudy:
    """A study on disk.

    Args:
        folder: its folder.
        is_searched: a search runs in it.
        content: what its database holds; None: it cannot be read, and `failure` says why.
        failure: why the database cannot be read.
        numbers_before: the numbers of the folders in `trials/`, listed before the database was read.
    """

    folder: Path
    is_searched: bool
    content: StudySnapshot | None
    failure: str = ""
    numbers_before: Sequence[int] = ()
    _weights: dict[int, TrialWeights] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, folder: Path, is_searched: bool) -> ExaminedStudy:
        """Read the study in `folder`; that a search runs in it does not matter.

        Args:
            folder: the folder of a study.
            is_searched: a search holds the lock of the folder; drivers that share a database are found in it.
        """
        numbers = tuple(numbered_folders(folder))
        try:
            content = StudySnapshot.of(folder)
            _ = content.objectives
            is_shared = StoragePlace.of_folder(folder) is not None
            is_searched = is_searched or (is_shared and bool(living_drivers(content)))
        except StudyError as error:
            return cls(folder, is_searched, None, str(error), numbers)
        return cls(folder, is_searched, content, "", numbers)

    @property
    def place_file(self) -> Path:
        """The file that is the database, or that names the server with it."""
        return place_file(self.folder)

    @property
    def database(self) -> Path | None:
        """The file of the database; None: the study is on a server."""
        return self.place_file if self.place_file.name == DATABASE else None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives; none if the database cannot be read."""
        return () if self.content is None else self.content.objectives

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """The trials; none if the database cannot be read."""
        return () if self.content is None else self.content.trials

    @property
    def complete(self) -> list[TrialRecord]:
        """The complete trials."""
        return [trial for trial in self.trials if trial.state == TrialState.COMPLETE]

    @property
    def settled(self) -> list[TrialRecord]:
        """The trials whose files no search touches any more."""
        return [trial for trial in self.trials if trial.state.is_finished() and self._is_settled(trial)]

    def weights(self, trial: TrialRecord) -> TrialWeights:
        """The weights of the complete `trial`; they are read once."""
        if trial.number not in self._weights:
            self._weights[trial.number] = self._read_weights(trial)
        return self._weights[trial.number]

    def _read_weights(self, trial: TrialRecord) -> TrialWeights:
        file = trial_folder(self.folder, trial.number) / WEIGHTS
        try:
            check_tensors(file)
            header = WeightsHeader.read(file)
        except FileNotFoundError:
            return self._remote_weights(trial)
        except DamagedWeightsError as error:
            return TrialWeights("damaged", f"its weights are damaged: {error}")
        except (StudyError, OSError) as error:
            return TrialWeights("damaged", f"its weights cannot be read: {error}")
        difference = header.difference(trial, tuple(objective.name for objective in self.objectives))
        if difference is None:
            return TrialWeights("present", header=header)
        return TrialWeights("foreign", f"its weights are those of another training: {difference}", header)

    @cached_property
    def store(self) -> UrlStore | None:
        """The place of the files of trials, if they are at a URL; None: they are in the folder, or the URL cannot be reached."""
        return None if self.store_failure or self.content is None else self._open_store(self.content.files_url)

    @cached_property
    def store_failure(self) -> str:
        """Why the URL of the study's files cannot be reached; empty if it can, or if there is none."""
        try:
            store = None if self.content is None else self._open_store(self.content.files_url)
            if store is not None:
                store.size(trial_name(0, WEIGHTS))
        except (StudyError, OSError) as error:
            return str(error)
        return ""

    @staticmethod
    def _open_store(url: str | None) -> UrlStore | None:
        try:
            return None if url is None else UrlStore(check_url(url))
        except ValueError as error:
            raise UsageError(f"files: {error}") from None

    def _remote_weights(self, trial: TrialRecord) -> TrialWeights:
        """The weights of `trial`, which are not in its folder. Those at a URL are not read, only looked for."""
        if self.store_failure:
            return TrialWeights("present")
        try:
            if self.store is not None and self.store.size(trial_name(trial.number, WEIGHTS)) is not None:
                return TrialWeights("present")
        except OSError as error:
            return TrialWeights("damaged", f"its weights cannot be read: {error}")
        return TrialWeights("missing", "its weights are missing")

    def _is_settled(self, trial: TrialRecord) -> bool:
        if not self.is_searched or trial.datetime_complete is None:
            return True
        return time.time() - trial.datetime_complete.timestamp() > GRACE_S


def living_drivers(study: StudySnapshot) -> list[str]:
    """The drivers of a study on a server that have announced themselves within the time of a lease."""
    now_s = study.now_s
    return [driver for driver, record in drivers_of(study.attributes).items() if record.is_heard(now_s)]


def numbered_folders(folder: Path) -> Iterator[int]:
    """The numbers of the folders of trials in the study in `folder`; others are not the study's."""
    try:
        places = sorted((folder / TRIALS).iterdir())
    except OSError:
        return
    for place in places:
        if place.name.isascii() and place.name.isdigit() and len(place.name) >= 5 and place.is_dir():
            yield int(place.name)
