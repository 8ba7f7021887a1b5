"""What a study holds: its attributes as typed values, its trials, and the files in its folder.

`StudySnapshot` is a study as it was at one moment, read without Optuna; `nas.study.stored.StoredStudy` is one that is open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import StudyError
from nas.objectives import Objective
from nas.study.database.reader import StudyChanges, StudyReader
from nas.study.database.storage_url import StorageUrl
from nas.study.file_store import fingerprint_name, trial_name
from nas.study.info import StudyInfo
from nas.study.layout import DATA, WEIGHTS, may_write, place_file, trial_folder
from nas.study.trial_record import TrialRecord
from nas.study.trials import AnyTrial
from nas.study.url_store import fetch_file
from trainers.training.confusion import Confusion

if TYPE_CHECKING:
    import optuna


def confusion_of(plain: Mapping[str, Any]) -> Confusion | None:
    """The confusion matrix that a study stores; None for what is none."""
    try:
        return Confusion.from_dict(plain)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return None


@dataclass(frozen=True)
class StudyContent(ABC):
    """A study in a folder.

    Args:
        folder: the folder of the study.
    """

    folder: Path

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the study."""

    @property
    @abstractmethod
    def user_attrs(self) -> Mapping[str, Any]:
        """The user attributes of the study as they are now (`nas.study.database.storage` lists them)."""

    @property
    @abstractmethod
    def objective_count(self) -> int:
        """The number of values of a trial."""

    @property
    @abstractmethod
    def trials(self) -> Sequence[AnyTrial]:
        """All trials, by number."""

    @property
    @abstractmethod
    def now_s(self) -> float:
        """The time by the clock of the storage, in seconds since 1970."""

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """The user attributes of the study, as they were when it was opened (`nas.study.database.storage` lists them)."""
        return dict(self.user_attrs)

    @cached_property
    def info(self) -> StudyInfo:
        """The user attributes as typed values, as they were when the study was opened."""
        return StudyInfo(self.folder, self.name, self.attributes, self.objective_count)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives, in the order of the values of trials.

        Raises:
            UsageError: the study does not list them.
        """
        return self.info.objectives

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration at the start of the study, plain JSON."""
        return self.info.config

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The description of the images, plain JSON."""
        return self.info.dataset

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the images."""
        return str(self.dataset.get("fingerprint"))

    @property
    def reading_version(self) -> int:
        """Version of the rules by which the folder of images was read; studies of versions 0.1 and 0.2 have 1."""
        return int(self.dataset.get("reading_version", 1))

    @property
    def space_size(self) -> int | None:
        """The number of architectures in the space; None if the study does not say."""
        return self.info.space_size

    @property
    def environments(self) -> list[Mapping[str, Any]]:
        """The versions and machines of the study's searches (`nas.study.environment`); none in studies of version 0.1."""
        return self.info.environments

    @property
    def test_accuracy(self) -> dict[str, float]:
        """Trial number as text -> accuracy on the test split, of the trials that were tested."""
        return dict(self.user_attrs.get("test_accuracy") or {})

    @property
    def is_writable(self) -> bool:
        """True if this process may write to the study."""
        return may_write(self.folder) and may_write(place_file(self.folder))

    @property
    def test_confusion(self) -> dict[str, Confusion]:
        """Trial number as text -> confusion matrix on the test split, of the trials tested by this version."""
        stored = self.user_attrs.get("test_confusion") or {}
        read = {number: confusion_of(plain) for number, plain in stored.items()}
        return {number: confusion for number, confusion in read.items() if confusion is not None}

    def set_test_results(self, accuracies: Mapping[str, float], confusions: Mapping[str, Confusion]) -> None:
        """Store test accuracies and confusion matrices, which replace the stored ones.

        Raises:
            MachineError: the database cannot be written.
        """
        from nas.study.database.storage import write_attributes  # here, since it imports SQLAlchemy

        plain = {number: confusion.to_dict() for number, confusion in confusions.items()}
        write_attributes(self.folder, {"test_accuracy": dict(accuracies), "test_confusion": plain})

    def trial_folder(self, number: int) -> Path:
        """The folder of a trial's files."""
        return trial_folder(self.folder, number)

    @property
    def files_url(self) -> str | None:
        """Where checkpoints, weights and decoded images are; None: in the folder."""
        url = self.config.get("files")
        return None if url is None else str(url)

    def trained_folder(self, number: int) -> Path:
        """The folder with the weights of a trial, fetched from the URL of the study's files if they are there.

        Raises:
            StudyError: the URL cannot be reached, or the folder cannot be written to.
        """
        folder = self.trial_folder(number)
        if self.files_url is not None and not (folder / WEIGHTS).is_file():
            fetch_file(self.files_url, trial_name(number, WEIGHTS), folder / WEIGHTS)
        return folder

    def images(self) -> Path:
        """The file of the study's decoded images, fetched from the URL of the study's files if it is there.

        Raises:
            StudyError: it is missing or damaged.
        """
        from nas.study.images import find_images  # here, since it imports the configuration of data

        folder = self.folder / DATA
        try:
            return find_images(folder, self.fingerprint)
        except StudyError:
            if self.files_url is None:
                raise
        name = fingerprint_name(self.fingerprint)
        fetch_file(self.files_url, name, self.folder / name)
        return find_images(folder, self.fingerprint)

    @property
    def end_reason(self) -> str:
        """Why the last search ended before it had its number of trials; empty if it had them, or did not end."""
        return str(self.user_attrs.get("end_reason") or "")


@dataclass(frozen=True)
class StudySnapshot(StudyContent):
    """A study in a folder, as it was when it was read.

    Args:
        folder: the folder of the study.
        reader: what has read it.
        content: what was read.
    """

    reader: StudyReader
    content: StudyChanges

    @classmethod
    def of(cls, folder: Path, storage: StorageUrl | None = None) -> StudySnapshot:
        """The study in `folder` as it is now; the folder may be read-only, and nothing in it changes.

        Args:
            folder: the folder of the study.
            storage: the URL of the database that the folder names, with a password; None: as the folder names it.

        Raises:
            UsageError: `folder` holds no study, or one that cannot be read.
        """
        reader = StudyReader.of_folder(folder, storage)
        return cls(folder, reader, reader.read())

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.reader.name

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """The user attributes of the study."""
        return self.content.attributes or {}

    @property
    def objective_count(self) -> int:
        """The number of values of a trial."""
        return len(self.reader.directions)

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """All trials, by number."""
        return self.content.trials

    @property
    def now_s(self) -> float:
        """The time by the clock of the storage."""
        return self.reader.now_s()

    @cached_property
    def optuna(self) -> optuna.Study:
        """The Optuna study, read at the first access; it refuses to be changed."""
        from nas.study.database.storage import read_study  # here, since it imports SQLAlchemy

        return read_study(self.folder)
