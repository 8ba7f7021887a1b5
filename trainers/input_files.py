"""Files of others, which may be anything: nothing is waited for, and nothing too large is read. No torch."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import Any

from trainers.json_text import parse_json

MAX_INPUT_BYTES = 1 << 30
"""Of a table: more than 10 million rows."""
MAX_JSON_BYTES = 1 << 28
"""Of a file of JSON that a program keeps; those of large studies have a few megabytes."""


class IrregularFileError(OSError):
    """There is a pipe, a device, a folder or a link (one that leads nowhere, where links are followed) in the place of a file."""


def open_regular(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of the regular file `path`, which child processes do not inherit.

    No link is followed, so that nobody who may write to the folder can make this process write elsewhere.

    Args:
        path: the file.
        flags: as for `os.open`.
        mode: of a file that is created.

    Raises:
        IrregularFileError: there is something else at `path`.
        OSError: it cannot be opened.
    """
    try:
        # O_NONBLOCK: a pipe is opened at once instead of when somebody writes to it.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _irregular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return descriptor


def open_input(path: Path) -> io.BufferedReader:
    """Open a file to read it, whatever somebody has put in its place; links are followed.

    Raises:
        IrregularFileError: it is a folder, a link to itself, or a device, a pipe or a socket, which may have no end or no writer.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise IrregularFileError(error.errno, error.strerror, str(path)) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IrregularFileError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise IrregularFileError(errno.EINVAL, "is a device, a pipe or a socket, and no file", str(path))
    return os.fdopen(descriptor, "rb")


def check_input(path: Path) -> None:
    """Check that `path` is a file, for readers of other packages, which would wait for the writer of a pipe.

    Raises:
        OSError: as `open_input`.
    """
    open_input(path).close()


def read_input(path: Path, max_bytes: int = MAX_INPUT_BYTES) -> bytes:
    """The content of a file; links are followed.

    Raises:
        OSError: it cannot be read, is larger than `max_bytes`, or is a device, a pipe or a socket.
    """
    with open_input(path) as file:
        is_larger = os.fstat(file.fileno()).st_size > max_bytes
        content = b"" if is_larger else file.read(max_bytes + 1)  # files of the system say that they have 0 bytes
    if is_larger or len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes >> 20} MiB", str(path))
    return content


def read_json(path: Path) -> Any:
    """The value in a file of JSON that a program keeps.

    Raises:
        OSError: it cannot be read, is larger than `MAX_JSON_BYTES`, or is a device, a pipe or a socket.
        ValueError: it is no JSON, or is nested too deeply.
    """
    return parse_json(read_input(path, MAX_JSON_BYTES))


def _irregular(path: Path) -> IrregularFileError:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(path.lstat().st_mode), "a device")
    return IrregularFileError(errno.EINVAL, f"must be a regular file, found {kind}", str(path))
