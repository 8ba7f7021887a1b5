"""A folder of this user on this machine, for what its processes share: caches, marks, locks, the work of workers."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def node_folder(name: str) -> Path:
    """The folder `name` below the machine's temporary folder (`TMPDIR`); it is created if needed, and nobody else may enter it.

    Raises:
        OSError: it cannot be created, or is another user's.
    """
    parent = Path(tempfile.gettempdir()) / f"mixfront-{os.getuid()}"
    for folder in (parent, parent / name):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check(folder)
    return parent / name


def _check(folder: Path) -> None:
    """Raise `PermissionError` unless `folder` is a real folder of this user's alone; others may write to its parent."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{folder}: must be a folder of this user; remove it, or set TMPDIR to another folder")
    if status.st_mode & 0o077:
        folder.chmod(0o700)
