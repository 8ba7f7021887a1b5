"""The folder of the study: its lock, its configuration, and whether the next search may write to it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import yaml

from nas.doctor.defect import Defect, Repair
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.removed import RemovedFiles
from nas.doctor.repairs import move_away
from nas.errors import ConfigError
from nas.study.config import StudyConfig
from nas.study.continuation import check_continues
from nas.study.layout import (
    CONFIG,
    DATA,
    DATABASE,
    LOCK,
    OPERATORS,
    REFERENCE,
    STORAGE,
    TRIALS,
    may_write,
    trial_folder,
)
from trainers.files import atomic_write


@check("lock-irregular", "error")
def find_irregular_lock(study: ExaminedStudy) -> Iterator[Defect]:
    """A lock file that is a link, a pipe or a folder: no search starts."""
    place = study.folder / LOCK
    if not os.path.lexists(place) or stat.S_ISREG(place.lstat().st_mode):
        return
    kind = "a link" if place.is_symlink() else "a folder" if place.is_dir() else "a pipe or a device"
    yield Defect(LOCK, f"must be a regular file, found {kind}", move_away(place))


@check("config-unusable", "warning")
def find_unusable_config(study: ExaminedStudy) -> Iterator[Defect]:
    """A `study.yaml` that is missing, cannot be read, or is that of another study; the database has the configuration, too."""
    if study.content is None or not study.content.config:
        return
    file = study.folder / CONFIG
    try:
        check_continues(StudyConfig.from_file(file), study.content.config)
    except ConfigError as error:
        text = f"does not continue the study: {error}".replace(f"{file}: ", "").replace(f"{file}:", "line ")
        yield Defect(CONFIG, text, _rewrite(study, file))


def _rewrite(study: ExaminedStudy, file: Path) -> Repair:
    """Write the configuration in the database to `file`."""

    def write(removed: RemovedFiles) -> None:
        if study.content is None:
            return
        removed.take(file)
        with atomic_write(file) as temporary:
            plain = dict(study.content.config)
            temporary.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")

    return Repair("moves it to removed-DATE and writes the one in the database", write)


@check("not-writable", "warning")
def find_what_cannot_be_written(study: ExaminedStudy) -> Iterator[Defect]:
    """A file or folder that the next search of this user cannot write to, in a study that it can write to."""
    if not may_write(study.folder):
        return  # a study that this user only reads
    opened = [trial_folder(study.folder, trial.number) for trial in study.trials if not trial.state.is_finished()]
    fixed = [study.folder / name for name in (DATABASE, STORAGE, TRIALS, DATA, OPERATORS, REFERENCE, LOCK)]
    for place in [*fixed, *opened]:
        if place.exists() and not place.is_symlink() and not may_write(place):
            yield Defect(place.relative_to(study.folder).as_posix(), _rule(place), _allow(place))


def _rule(place: Path) -> str:
    status = place.stat()
    found = f"owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}"
    return f"must be writable by the user {os.geteuid()}, found {found}"


def _allow(place: Path) -> Repair | None:
    """Let the owner write to `place`; None if this user is not the owner."""
    status = place.stat()
    if status.st_uid != os.geteuid():
        return None
    added = stat.S_IRUSR | stat.S_IWUSR | (stat.S_IXUSR if place.is_dir() else 0)
    return Repair("lets its owner write to it", lambda _: place.chmod(stat.S_IMODE(status.st_mode) | added))
