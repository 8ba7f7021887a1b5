"""Where the dashboard finds studies: in folders and some levels below, and in Optuna storages. New ones are found later, too.

Reads names of files only; whether a study can be read is seen when it is read.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UsageError
from nas.study.layout import holds_study

MAX_DEPTH = 4
"""Levels below a folder at which studies are found."""
MAX_FOLDERS = 5_000
"""Most folders that are searched, so that `nas dashboard /` ends."""
HASH_CHARS = 6


@dataclass(frozen=True)
class StudyPlace:
    """Where a study is.

    Args:
        key: identifies it in addresses of the page: letters, digits, hyphens. It is the same after a restart.
        folder: the folder of the study; None for a study in a storage.
        storage: the URL of the storage; None for a study in a folder.
        name: the name of the study in the storage; that of the folder until the study is read.
    """

    key: str
    folder: Path | None
    storage: str | None
    name: str

    @classmethod
    def of_folder(cls, folder: Path) -> StudyPlace:
        """The study in `folder`."""
        absolute = folder.resolve()
        return cls(_key(absolute.name, str(absolute)), folder, None, absolute.name)

    @classmethod
    def of_storage(cls, url: str, name: str) -> StudyPlace:
        """The study `name` in the storage at `url`."""
        return cls(_key(name, f"{without_password(url)} {name}"), None, url, name)


def _key(name: str, identity: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "study"
    return f"{words}-{hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:HASH_CHARS]}"


def check_folders(folders: Sequence[Path], storages: Sequence[str]) -> None:
    """Raise `UsageError` unless there is a folder or a storage to show, and each folder exists and may be read."""
    if not folders and not storages:
        raise UsageError("DIR: name the folder of a study, or a folder with studies, or a storage with --storage URL")
    for folder in folders:
        if not folder.is_dir():
            kind = "a file; name the folder that it is in" if folder.exists() else "no such folder"
            raise UsageError(f"{folder}: {kind}")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise UsageError(f"{folder}: this user may not read it")


def without_password(url: str) -> str:
    """A storage's URL as it may be shown: without the user and the password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def find_studies(folders: Sequence[Path]) -> list[StudyPlace]:
    """The studies in `folders` and below them, each once, in the order of folders and names."""
    places = [StudyPlace.of_folder(found) for folder in folders for found in _study_folders(folder)]
    return list({place.key: place for place in reversed(places)}.values())[::-1]


def _study_folders(folder: Path) -> Iterator[Path]:
    """The folders of studies at and below `folder`, breadth first: near ones come first where there are too many.

    A link is followed, but not to a folder that `folder` lies in, nor to one that was looked into.
    """
    level, looked_into = [folder], 0
    seen = {folder.resolve(), *folder.resolve().parents}
    for _ in range(MAX_DEPTH + 1):
        below: list[Path] = []
        for candidate in level:
            looked_into += 1
            if looked_into > MAX_FOLDERS:
                return
            if holds_database(candidate):
                yield candidate  # nothing below it is a study of its own
            else:
                below += _new_subfolders(candidate, seen)
        level = below


def holds_database(folder: Path) -> bool:
    """True if a study lies in `folder`, as far as this process may look."""
    try:
        return holds_study(folder)
    except OSError:
        return False


def _new_subfolders(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """The folders in `folder` that are not among those `seen`, to which they are added."""
    for below in _subfolders(folder):
        real = below.resolve() if below.is_symlink() else below
        if real not in seen:
            seen.add(real)
            yield below


def _subfolders(folder: Path) -> Iterable[Path]:
    """The folders in `folder` that are not hidden, by name; none if it may not be read."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
    except OSError:
        return ()
    return [folder / name for name in names]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
