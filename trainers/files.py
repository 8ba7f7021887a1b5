"""Files and folders that are written atomically. No torch.

An error of the disk names the file that could not be written, not its temporary one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainers.disk import NO_ROOM_ERRNOS


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary file beside `path`. It replaces `path` if the block ends without an error; otherwise it is removed.

    Raises:
        OSError: the disk is full or broken; the error names `path`.
    """
    temporary = _temporary_file(path)
    _remove_link(temporary)
    try:
        with _named(path, temporary):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`, whose files are moved into `folder` if the block ends without an error.

    Files of other names in `folder` stay. After an error all is as it was. What killed processes have left is removed first. The
    files get the permissions that new files have (safetensors gives its files to their owner alone).
    """
    temporary = _temporary_file(folder.absolute())
    _remove_leftovers(temporary.parent, folder.absolute().name)
    missing = [parent for parent in temporary.parents if not parent.exists()]
    temporary.mkdir(parents=True)
    try:
        with _locked(temporary):
            yield temporary
            folder.mkdir(parents=True, exist_ok=True)
            mode = _mode_of_new_files(temporary)
            for file in temporary.iterdir():
                file.chmod(mode)
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):  # not empty: the folder is written
            for parent in missing:
                parent.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """A lock on `folder` that ends with the process; yields whether no other process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        except OSError:  # some network file systems have no locks on folders, either
            is_free = False
        yield is_free
    finally:
        os.close(descriptor)


def _remove_leftovers(parent: Path, name: str) -> None:
    """Remove the temporary folders for `parent / name`, and those for them, that killed processes have left."""
    pattern = re.compile(rf"\.+{re.escape(name)}(\.[0-9]+\.tmp)+")
    with suppress(OSError):
        for temporary in [path for path in parent.iterdir() if pattern.fullmatch(path.name)]:
            with suppress(OSError), _locked(temporary) as is_free:
                if is_free:
                    shutil.rmtree(temporary, ignore_errors=True)


def _mode_of_new_files(folder: Path) -> int:
    """The permissions of a file that is created in `folder`, by the umask of this process, which cannot be read otherwise."""
    probe = folder / ".probe"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    return mode


@contextmanager
def reserve(path: Path, size_bytes: int) -> Iterator[None]:
    """Within the block the disk has room for `size_bytes` in `path`, written by `atomic_write` and `write_reserved`.

    Work whose result would find no room fails before it starts. The room is taken by the temporary file of `atomic_write`.
    File systems that cannot reserve room are not an error.

    Raises:
        OSError: there is no room; the error names `path`.
    """
    temporary = _temporary_file(path)
    _remove_link(temporary)
    try:
        with _named(path, temporary), temporary.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
            except OSError as error:
                if error.errno in NO_ROOM_ERRNOS:
                    raise
        yield
    finally:
        temporary.unlink(missing_ok=True)


def write_reserved(temporary: Path, content: bytes) -> None:
    """Write `content` into the file `temporary` that `atomic_write` yields, into the room that `reserve` took, if it did."""
    with temporary.open("r+b" if temporary.exists() else "wb") as file:
        file.write(content)
        file.truncate()


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files of `atomic_write` in `folder` that killed processes left."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def _temporary_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _remove_link(temporary: Path) -> None:
    """Remove a link at `temporary`: what is written there must not change the file that it leads to."""
    if temporary.is_symlink():
        temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """Give an `OSError` of the block the name `path` if it names `temporary`, or no file: a failed write names none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, temporary, str(temporary)):
            error.filename = str(path)
        raise
