"""Checks of the places that a command will write to, before it does its work. Nothing that lasts is created."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from nas.errors import UsageError


def existing_parent(place: Path) -> Path:
    """`place`, or the nearest folder above it that exists."""
    absolute = place.absolute()
    return next(parent for parent in (absolute, *absolute.parents) if parent.exists())


def check_folder(folder: Path) -> None:
    """Check that `folder` can be written to, or created.

    Raises:
        UsageError: it or a folder above it is a file, or may not be written to.
    """
    place = existing_parent(folder)
    rule = f"{folder}: must be a folder that can be written to"
    if not place.is_dir():
        raise UsageError(f"{rule}; {place} is a file")
    which = "" if place == folder.absolute() else f"; {place} cannot"
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{rule}{which}")
    try:
        with tempfile.TemporaryFile(dir=place):  # a disk that is read-only, or /proc, whatever the permissions say
            pass
    except OSError as error:
        raise UsageError(f"{rule}{which}: {error.strerror or error}") from None


def check_file(file: Path) -> None:
    """Check that `file` can be written to, or created.

    Raises:
        UsageError: it is a folder or a device, or its folder cannot be written to.
    """
    if file.is_dir():
        raise UsageError(f"{file}: is a folder; name the file to write")
    if file.exists() and not file.is_file():  # it would be replaced by a file
        raise UsageError(f"{file}: must be a file, found a device, a pipe or a socket")
    check_folder(file.parent)
