"""Errors of the disk and of the machine, which say nothing about the file that is read or written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainers.errors import DataError, DiskError

NO_ROOM_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk, the quota or the limit on the size of a file is used up: room can be made, and the work goes on."""

DISK_ERRNOS = NO_ROOM_ERRNOS | {
    errno.EIO,
    errno.EROFS,
    errno.ESTALE,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENXIO,
    errno.ENODEV,
}
"""Errors of the disk and of the machine, whatever file is read or written."""


def is_disk_error(error: BaseException) -> bool:
    """Whether `error` is trouble of the disk or of the machine, which says nothing about the file that is read."""
    return isinstance(error, OSError) and error.errno in DISK_ERRNOS


def error_kind(error: BaseException) -> type[DataError]:
    """The class of the error about a file whose reading raised `error`."""
    return DiskError if is_disk_error(error) else DataError


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Raise an `OSError` of the block as a `DataError` that names the file, or `folder` where the error names none.

    Raises:
        DiskError: the disk is full or broken.
        DataError: another error, such as a file that is missing or that may not be read.
    """
    try:
        yield
    except OSError as error:
        raise error_kind(error)(
            str(error.filename or folder), f"cannot be read or written ({error.strerror or error})"
        ) from error
