"""Where a study is: its folder, and the database of its trials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nas.driver.display import Display
from nas.errors import ConfigError, StudyError, UsageError
from nas.study.config import StudyConfig
from nas.study.database.server_storage import server_study_exists
from nas.study.database.storage import place_of
from nas.study.database.storage_url import StoragePlace, StorageUrl
from nas.study.layout import STORAGE, holds_study
from nas.study.lock import FolderLock, lock_folder, share_folder
from nas.study.stored import StoredStudy

WAIT_S = 0.2


@dataclass(frozen=True)
class StudyHome:
    """Where a study is, or will be.

    Args:
        folder: its folder.
        place: the study in the database that drivers share; None: its database is in the folder.
        is_joined: True if other drivers have created it, and this folder does not name it yet.
    """

    folder: Path
    place: StoragePlace | None
    is_joined: bool = False

    @property
    def storage(self) -> StorageUrl | None:
        """The database that drivers share; None: there is none."""
        return None if self.place is None else self.place.url

    @property
    def holds_study(self) -> bool:
        """True if the study exists."""
        return self.is_joined or holds_study(self.folder)

    def open(self) -> StoredStudy:
        """Open the study."""
        return StoredStudy.open(self.folder, self.storage)

    @contextmanager
    def locked(self, display: Display | None = None) -> Iterator[FolderLock]:
        """Lock the folder. A folder that joins a study names it within the block, and afterwards unless the block fails."""
        if self.place is None:
            with lock_folder(self.folder) as lock:
                yield lock
            return
        has_waited = False

        def wait() -> None:
            nonlocal has_waited
            if not has_waited and display is not None:
                display.warn(f"{self.folder}: another driver starts in it; this one waits")
            has_waited = True
            time.sleep(WAIT_S)

        with share_folder(self.folder, wait) as lock:
            if self.is_joined:
                self.place.write(self.folder)
            try:
                yield lock
            except StudyError:
                if self.is_joined and not (self.folder / "trials").exists():
                    with suppress(OSError):
                        (self.folder / STORAGE).unlink()
                raise


def find_home(config: StudyConfig, folder: Path, storage: StorageUrl | None = None) -> StudyHome:
    """Find where the study of `config` is, or will be.

    Args:
        config: the configuration of the study.
        folder: its folder.
        storage: the database; None: that of the configuration, or the one in the folder.

    Raises:
        UsageError: the study in `folder` has another database, or the database cannot be read.
    """
    if storage is None and config.storage is not None:
        storage = StorageUrl.parse(config.storage)
        try:
            place_of(folder, storage)
        except UsageError as error:
            raise ConfigError(config.where("storage"), str(error)) from None
    place = place_of(folder, storage)
    if place is not None or storage is None or holds_study(folder):
        return StudyHome(folder, place)
    place = StoragePlace(storage, config.name)
    return StudyHome(folder, place, is_joined=server_study_exists(place))
