"""Files that belong to nothing any more."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nas.analysis.columns import StudyColumns
from nas.analysis.columns_cache import identity_of, load_columns
from nas.doctor.defect import Defect
from nas.doctor.examined import ExaminedStudy
from nas.doctor.registry import check
from nas.doctor.repairs import delete, move_away
from nas.study.layout import COLUMNS, DATA, DATABASE, RAY, TRIALS, WORKERS, trial_folder

MIN_AGE_S = 60.0
"""A temporary file that is younger may belong to a process on another machine."""
_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")


@check("temporary-file", "warning")
def find_temporary_files(study: ExaminedStudy) -> Iterator[Defect]:
    """A temporary file that a killed process left."""
    if study.is_searched:
        return
    folders = [study.folder, study.folder / DATA, *sorted((study.folder / TRIALS).glob("*/"))]
    places = [place for folder in folders for place in sorted(folder.glob(".*.tmp"))]
    for place in [*places, study.folder / f"{DATABASE}.new"]:
        if place.exists() and time.time() - place.lstat().st_mtime > MIN_AGE_S and not _has_owner(place):
            yield Defect(place.relative_to(study.folder).as_posix(), "a killed process left it", delete(place))


def _has_owner(place: Path) -> bool:
    """True if the process that its name has lives on this machine."""
    named = _TEMPORARY.fullmatch(place.name)
    if named is None:
        return False
    try:
        os.kill(int(named["pid"]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@check("folder-left", "warning")
def find_left_folders(study: ExaminedStudy) -> Iterator[Defect]:
    """A folder that exists only while a search runs."""
    if study.is_searched:
        return
    for name in (WORKERS, RAY):
        place = study.folder / name
        if place.is_symlink() or place.exists():
            yield Defect(name, "is there only while a search runs, and none does", delete(place))


@check("orphan-folder", "warning")
def find_orphan_folders(study: ExaminedStudy) -> Iterator[Defect]:
    """The folder of a trial that the database does not have."""
    if study.content is None:
        return
    known = {trial.number for trial in study.trials}
    for number in study.numbers_before:
        if number not in known:
            place = trial_folder(study.folder, number)
            yield Defect(f"{TRIALS}/{place.name}", "the study has no such trial", move_away(place))


@check("columns-stale", "warning")
def find_stale_columns(study: ExaminedStudy) -> Iterator[Defect]:
    """The file of columns is damaged, or has other values than the database."""
    file = study.folder / COLUMNS
    if study.content is None or not file.exists() or not study.trials:
        return
    identity = identity_of(study.content.name, study.trials[0])
    cached = load_columns(file, study.objectives, identity)
    if cached is None:
        yield Defect(COLUMNS, "is damaged, or of another study or version", delete(file))
    elif not _agrees(cached.columns, study):
        yield Defect(COLUMNS, "has other values than the database", delete(file))


def _agrees(columns: StudyColumns, study: ExaminedStudy) -> bool:
    """True if the trials of `columns` that had ended have the values of the study."""
    if columns.count > len(study.trials):
        return False
    ended = [trial for trial in study.trials[: columns.count] if trial.state.is_finished() and trial.values is not None]
    rows = [trial.number for trial in ended]
    for index, objective in enumerate(study.objectives):
        stored = columns.numbers[objective.name].first(columns.count)[rows]
        expected = np.array([(trial.values or [])[index] for trial in ended])
        if not np.array_equal(stored[~np.isnan(stored)], expected[~np.isnan(stored)]):
            return False
    return True
