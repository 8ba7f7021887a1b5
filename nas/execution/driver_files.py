"""The files of the driver's folder, for workers that do not see that folder: the interface, and the driver's side of it.

Workers read the decoded images and `reference.json`, and read and write the checkpoints and weights of trials and of full
trainings; nothing else of the folder of a study can be named (`nas.study.layout`, `nas.study.retrained`). Files are read and
written in parts, so that no message is large.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainers.input_files import open_input, open_regular

MAX_PART_BYTES = 8 << 20
"""The most bytes of a part."""

MAX_DRAFT_AGE_S = 600.0
"""A draft that was not written to for this time belongs to a worker that is gone."""

_FULL_TRAINING = r"retrained/[a-z]+-[\w.+-]{1,190}/[0-9a-f]{12}/seed-\d{1,10}"
_STATE = rf"(?:trials/\d{{5,9}}|{_FULL_TRAINING})/(?:checkpoint\.pt|(?:model|inherited)\.safetensors)"
_READABLE = re.compile(rf"data/\w[\w.-]*\.safetensors|reference\.json|retrained/stop|{_STATE}", re.A)
_WRITABLE = re.compile(
    rf"workers/(?:\w[\w.:-]*/)?\w[\w.:-]*\.json|reference\.json|{_STATE}|{_FULL_TRAINING}/(?:result|progress)\.json",
    re.A,
)
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class FileStat:
    """The size of a file in bytes, and the SHA-256 of its content in hexadecimal.

    `digest` is None for decoded images: they are large, and verified by their fingerprint.
    """

    size: int
    digest: str | None


class DriverFiles(Protocol):
    """Reads and writes files of the driver's folder from another machine.

    Names are relative POSIX paths below the folder; the driver's side refuses others. Every call may be repeated.
    """

    def stat(self, name: str) -> FileStat | None:
        """Size and digest of the file `name`; None if there is none."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        """At most `size` bytes, and at most `MAX_PART_BYTES`, of the file `name` from `offset` on.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def write(self, name: str, content: bytes, offset: int, is_last: bool, digest: str) -> None:
        """Write a part of the file `name`; the file appears, whole, with the last part, if it has the SHA-256 `digest`.

        Raises:
            FileNotFoundError: the parts before `offset` are gone; the caller starts with the first again.
            ValueError: a part is too large, or the digest of all parts is another.
            OSError: the disk is full or broken; nothing stays of the parts.
        """

    def remove(self, name: str) -> None:
        """Remove the file `name`; it may be gone already."""


class FolderFiles:
    """Serves the files of a real folder; `DriverFiles` on the driver's side. Safe for several threads.

    Args:
        folder: the folder of a study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._digests: dict[str, tuple[tuple[int, int, int], str]] = {}  # name -> (identity of the file, digest)
        self._lock = threading.Lock()  # of writing

    def stat(self, name: str) -> FileStat | None:
        """As `DriverFiles.stat`."""
        try:
            path = self._place(name, _READABLE)
            status = path.stat()
            if name.startswith("data/"):
                return FileStat(status.st_size, None)
            identity = (status.st_ino, status.st_size, status.st_mtime_ns)
            known, digest = self._digests.get(name, (None, ""))
            if known != identity:
                digest = _digest_of(path)
                self._digests[name] = identity, digest
        except FileNotFoundError:
            return None
        return FileStat(status.st_size, digest)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """As `DriverFiles.read`."""
        if offset < 0 or not 0 <= size <= MAX_PART_BYTES:
            raise ValueError(f"{name}: a part must have 0 to {MAX_PART_BYTES} bytes, found {size} at {offset}")
        with open_input(self._place(name, _READABLE)) as file:
            file.seek(offset)
            return file.read(size)

    def write(self, name: str, content: bytes, offset: int, is_last: bool, digest: str) -> None:
        """As `DriverFiles.write`."""
        path = self._place(name, _WRITABLE)
        if len(content) > MAX_PART_BYTES or offset < 0 or not _DIGEST.fullmatch(digest):
            rule = f"a part must have at most {MAX_PART_BYTES} bytes and a digest"
            raise ValueError(f"{name}: {rule}, found {len(content)} bytes at {offset}")
        with self._lock:
            if is_last and offset > 0 and path.is_file() and _digest_of(path) == digest:
                return  # the last part comes again, because its answer was lost
            path.parent.mkdir(parents=True, exist_ok=True)
            # Each content has a draft of its own: two workers may write the same file, if one of them was thought to have died.
            draft = path.with_name(f".{path.name}.{digest[:16]}.tmp")
            try:
                if offset == 0:
                    _remove_old_drafts(path)
                _write_part(draft, content, offset, is_last)
                if is_last:
                    if (found := _digest_of(draft)) != digest:
                        raise ValueError(f"{name}: must have the digest {digest}, found {found}")
                    draft.replace(path)
            except FileNotFoundError:
                raise
            except BaseException:
                draft.unlink(missing_ok=True)
                raise

    def remove(self, name: str) -> None:
        """As `DriverFiles.remove`."""
        self._place(name, _WRITABLE).unlink(missing_ok=True)

    def _place(self, name: str, allowed: re.Pattern[str]) -> Path:
        """The path of the file `name`.

        Raises:
            PermissionError: workers may not use it, or a link leads out of the folder.
        """
        path = self.folder / name
        if not allowed.fullmatch(name) or not path.resolve().is_relative_to(self.folder):
            raise PermissionError(f"must be a file of the study that workers may use, found {name!r}")
        return path


def _write_part(draft: Path, content: bytes, offset: int, is_last: bool) -> None:
    flags = os.O_RDWR if offset else os.O_RDWR | os.O_CREAT
    with os.fdopen(open_regular(draft, flags), "r+b") as file:
        if file.seek(0, os.SEEK_END) < offset:
            raise FileNotFoundError(f"{draft.name}: the parts before byte {offset} are gone")
        file.seek(offset)
        file.write(content)
        file.truncate()
        if is_last:
            file.flush()
            os.fsync(file.fileno())


def _remove_old_drafts(path: Path) -> None:
    for draft in path.parent.glob(f".{path.name}.*.tmp"):
        if time.time() - draft.stat().st_mtime > MAX_DRAFT_AGE_S:
            draft.unlink(missing_ok=True)


def _digest_of(path: Path) -> str:
    with open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
