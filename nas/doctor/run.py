"""Runs the checks on a study, and applies the repairs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas.doctor import checks as _checks  # noqa: F401 (registers the checks)
from nas.doctor.checks.places import find_irregular_lock
from nas.doctor.defect import DoctorFinding
from nas.doctor.examined import ExaminedStudy, living_drivers
from nas.doctor.registry import CHECKS, StudyCheck
from nas.doctor.removed import RemovedFiles
from nas.errors import MachineError, StudyError, UsageError
from nas.study.database.connections import missing_study
from nas.study.layout import DATABASE, holds_study
from nas.study.lock import is_locked, lock_folder

Progress = Callable[[int, int], None]
"""Called with the number of finished checks and their total."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repaired:
    """What `repair_study` did.

    Args:
        done: what was repaired.
        failed: what could not be repaired, and why.
        left: what the checks find afterwards.
        removed: the folder of what was taken away; None: nothing was.
    """

    done: Sequence[DoctorFinding]
    failed: Sequence[tuple[DoctorFinding, str]]
    left: Sequence[DoctorFinding]
    removed: Path | None


def examine_study(folder: Path, progress: Progress | None = None) -> list[DoctorFinding]:
    """Run every check on the study in `folder`; nothing is written, and a search that runs there is not disturbed.

    Args:
        folder: the folder of the study.
        progress: called with the number of checks that have run and the number of all.

    Raises:
        UsageError: the folder holds no study.
    """
    _check_exists(folder)
    return list(_find(ExaminedStudy.read(folder, is_locked(folder)), progress))


def repair_study(folder: Path, progress: Progress | None = None) -> Repaired:
    """Run every check on the study in `folder`, repair what can be repaired, and run the checks again.

    Args:
        folder: the folder of the study.
        progress: as for `examine_study`.

    Raises:
        UsageError: the folder holds no study, a search runs in it, or it cannot be written to.
    """
    _check_exists(folder)
    removed = RemovedFiles(folder)
    done: list[DoctorFinding] = []
    failed: list[tuple[DoctorFinding, str]] = []
    with _locked(folder, removed, done):
        study = ExaminedStudy.read(folder, is_searched=False)
        if study.is_searched and study.content is not None:
            raise UsageError(f"{folder}: it is in use by the driver {living_drivers(study.content)[0]}")
        for finding in _find(study, progress):
            repair = finding.defect.repair
            if repair is None:
                continue
            try:
                repair.apply(removed)
            except (OSError, StudyError) as error:
                failed.append((finding, str(error)))
            else:
                logger.info("repaired %s", finding.line)
                done.append(finding)
        left = list(_find(ExaminedStudy.read(folder, is_searched=False), progress))
    return Repaired(done, failed, left, removed.folder if removed.folder.exists() else None)


@contextmanager
def _locked(folder: Path, removed: RemovedFiles, done: list[DoctorFinding]) -> Iterator[None]:
    """Hold the lock of the study, so that no search starts; what stands in the place of the lock is moved away first."""
    code = next(code for code, check in CHECKS.items() if check.function is find_irregular_lock)
    for defect in find_irregular_lock(ExaminedStudy(folder, is_searched=False, content=None)):
        if defect.repair is not None:
            try:
                defect.repair.apply(removed)
            except OSError as error:
                raise UsageError(f"{folder}: must be a folder that can be written to: {error.strerror}") from None
            done.append(DoctorFinding(code, CHECKS[code].severity, defect))
    with lock_folder(folder):
        yield


def _check_exists(folder: Path) -> None:
    if not holds_study(folder):
        raise missing_study(folder / DATABASE)


def _find(study: ExaminedStudy, progress: Progress | None) -> Iterator[DoctorFinding]:
    """What each check finds."""
    for index, check in enumerate(CHECKS.values()):
        if progress is not None:
            progress(index, len(CHECKS))
        yield from _found_by(check, study)


def _found_by(check: StudyCheck, study: ExaminedStudy) -> list[DoctorFinding]:
    try:
        return [DoctorFinding(check.code, check.severity, defect) for defect in check.function(study)]
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise MachineError(f"{study.folder}: check {check.code}: {place}{error.strerror or error}") from error
