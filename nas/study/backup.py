"""A consistent copy of a study, also while a search runs on it: an archive that is a study again once it is unpacked.

The database is copied at one moment: a file by SQLite's own backup, a study on a server in one transaction, into a file. Of a
trial that was complete at that moment the weights exist already, and never change. A checkpoint changes while its trial trains,
and one that is older than the database serves, while a later one may be beyond the rung that the database knows; so the
checkpoints are opened before the database is copied. A file that is replaced stays as it was for those who have it open.
"""

from __future__ import annotations

import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from optuna.trial import TrialState

from nas.errors import StudyError
from nas.study.backup_archive import BackupManifest, BackupWriter, open_archive, split_name
from nas.study.content import StudySnapshot
from nas.study.database.connections import FileDatabase, missing_study
from nas.study.database.reader import StudyReader
from nas.study.database.snapshot import copy_to_file
from nas.study.database.storage_url import StoragePlace
from nas.study.destinations import check_file
from nas.study.environment import versions
from nas.study.file_store import trial_name
from nas.study.layout import (
    CHECKPOINT,
    CONFIG,
    DATA,
    DATABASE,
    ERROR,
    INHERITED_WEIGHTS,
    OPERATORS,
    REFERENCE,
    WEIGHTS,
    holds_study,
    trial_folder,
)
from nas.study.retrained import RESULT, retrained_runs
from nas.study.trial_record import TrialRecord
from nas.study.url_store import fetch_file
from trainers.input_files import open_input

FILES = (CONFIG, REFERENCE, OPERATORS, "fidelity/trainings.jsonl")
"""Files of a study beside its database, its trials and its images."""

Progress = Callable[[int, int], None]
"""Called with the number of finished items and their total."""


@dataclass(frozen=True)
class BackupParts:
    """What a backup holds apart from the database, the configuration, measurements, weights, full trainings and tracebacks.

    Args:
        checkpoints: those of trials that have not ended, and of failed ones.
        images: the decoded images.
    """

    checkpoints: bool = False
    images: bool = False


@dataclass(frozen=True)
class Backup:
    """A backup that was written.

    Args:
        file: the archive.
        folder: the name of the folder in it.
        manifest: what it holds.
        counts: state of trials -> number.
        missing_weights: the complete trials whose weights were not there.
    """

    file: Path
    folder: str
    manifest: BackupManifest
    counts: Mapping[str, int]
    missing_weights: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without the list of files."""
        return {
            "file": str(self.file),
            "size_bytes": self.file.stat().st_size,
            "folder": self.folder,
            **{name: getattr(self.manifest, name) for name in ("study", "created", "cursor")},
            "trials": dict(self.counts),
            "files": len(self.manifest.files),
            "missing_weights": list(self.missing_weights),
        }


def write_backup(
    folder: Path, file: Path, parts: BackupParts = BackupParts(), progress: Progress | None = None
) -> Backup:
    """Write a backup of the study in `folder`; nothing in the folder changes, and a search that runs there is not disturbed.

    Args:
        folder: the folder of the study.
        file: the archive, NAME.tar, NAME.tar.gz or NAME.tgz, which holds a folder NAME; it is replaced at the end.
        parts: what it holds.
        progress: called with the number of files written and the number of all.

    Raises:
        UsageError: `folder` holds no study, or `file` cannot be written or is named otherwise.
        StudyError: the database is damaged. An earlier backup in `file` stays.
        OSError: the disk is full or broken. An earlier backup in `file` stays.
    """
    name, _ = split_name(file)
    check_file(file)
    if not holds_study(folder):
        raise missing_study(folder / DATABASE)
    with ExitStack() as stack:
        checkpoints = _open_checkpoints(folder, stack) if parts.checkpoints else {}
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mixfront-")))
        created = time.time()
        study = _copy_database(folder, scratch / DATABASE)
        images = study.images() if parts.images else None
        with open_archive(file) as archive:
            archive.add_path(DATABASE, scratch / DATABASE)
            missing = _add_files(archive, study, checkpoints, parts, scratch, progress)
            if images is not None:
                archive.add_path(f"{DATA}/{images.name}", images)
            manifest = BackupManifest(
                study.name,
                datetime.fromtimestamp(created, UTC).isoformat(timespec="seconds"),
                versions().get("mixfront", "unknown"),
                str(study.content.cursor),
                dict(archive.files),
            )
            archive.add_manifest(manifest, created)
    return Backup(file, name, manifest, _counts(study.trials), missing)


def _open_checkpoints(folder: Path, stack: ExitStack) -> dict[int, BinaryIO]:
    """The number of each trial that has not ended and has a checkpoint -> its checkpoint as it is now."""
    _allow_many_open_files()
    opened: dict[int, BinaryIO] = {}
    for number in StudyReader.of_folder(folder).read().cursor.open:
        with suppress(FileNotFoundError):
            opened[number] = stack.enter_context(open_input(trial_folder(folder, number) / CHECKPOINT))
    return opened


def _allow_many_open_files() -> None:
    """Raise the limit on open files as far as this process may: hundreds of trials may be paused."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _copy_database(folder: Path, copy: Path) -> StudySnapshot:
    """Copy the database of the study in `folder`, or on the server that it names; returns the study as it is in the copy."""
    place = StoragePlace.of_folder(folder)
    database = folder / DATABASE
    try:
        if place is None:
            copy_to_file(database, copy)
        else:
            from nas.study.database.server_copy import copy_server_study  # here, since it imports Optuna and SQLAlchemy

            copy_server_study(place, copy)
    except sqlite3.DatabaseError as error:
        raise StudyError(
            f"{database}: is damaged, and no backup was written: {error}; `nas doctor` says more"
        ) from None
    reader = StudyReader(FileDatabase(copy))
    return StudySnapshot(folder, reader, reader.read())


def _add_files(
    archive: BackupWriter,
    study: StudySnapshot,
    checkpoints: dict[int, BinaryIO],
    parts: BackupParts,
    scratch: Path,
    progress: Progress | None,
) -> tuple[int, ...]:
    """Write the files of `study`, apart from database and images; returns the complete trials whose weights are missing."""
    missing: list[int] = []
    for name in FILES:
        archive.add_path(name, study.folder / name)
    for run in retrained_runs(study.folder):
        place = run.folder(study.folder)
        for name in (WEIGHTS, RESULT):
            archive.add_path(_name(study.folder, place / name), place / name)
    for index, trial in enumerate(study.trials):
        if progress is not None:
            progress(index, len(study.trials))
        has_weights = False
        for name, path in _trial_files(study.folder, trial, parts):
            has_weights |= archive.add_path(name, path) and path.name == WEIGHTS
        if trial.state == TrialState.COMPLETE and not has_weights and not _add_fetched(archive, study, trial, scratch):
            missing.append(trial.number)
        if trial.number in checkpoints and not trial.state.is_finished():
            archive.add(
                _name(study.folder, trial_folder(study.folder, trial.number) / CHECKPOINT), checkpoints[trial.number]
            )
    return tuple(missing)


def _add_fetched(archive: BackupWriter, study: StudySnapshot, trial: TrialRecord, scratch: Path) -> bool:
    """Write the weights of `trial` that are at the URL of the study's files; False if they are not there."""
    name, copy = trial_name(trial.number, WEIGHTS), scratch / WEIGHTS
    if study.files_url is None or not fetch_file(study.files_url, name, copy):
        return False
    archive.add_path(name, copy)
    copy.unlink()
    return True


def _trial_files(folder: Path, trial: TrialRecord, parts: BackupParts) -> Iterator[tuple[str, Path]]:
    """Name and place of the files of `trial`, apart from the checkpoint of one that has not ended."""
    place = trial_folder(folder, trial.number)
    # A trial that has not ended may have its weights already: the driver has not recorded its outcome yet.
    names = [WEIGHTS, INHERITED_WEIGHTS, ERROR]
    if parts.checkpoints and trial.state == TrialState.FAIL:
        names.append(CHECKPOINT)  # serves a retry
    return ((_name(folder, place / name), place / name) for name in names)


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _counts(trials: Iterable[TrialRecord]) -> dict[str, int]:
    """State -> number of trials, of the states that occur."""
    names = [trial.state.name.lower() for trial in trials]
    return {state.name.lower(): names.count(state.name.lower()) for state in TrialState if state.name.lower() in names}
