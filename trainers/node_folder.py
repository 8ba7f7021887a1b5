"""A folder of this user on this machine, for what its processes share: caches, marks, locks, the work of workers."""

from __future__ import annotations

import errno
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
        create_private(folder)
    return parent / name


def create_private(folder: Path) -> None:
    """Create `folder` if needed, and make sure that it is this user's alone; others may write to its parent.

    Raises:
        PermissionError: there is a link or another user's folder: others could hold the locks in it, or put links there.
        OSError: it cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.getuid(), os.geteuid()):
        found = "a link" if folder.is_symlink() else f"one of user {status.st_uid}"
        rule = f"must be a folder of user {os.geteuid()}, found {found}; remove it, or set TMPDIR to another folder"
        raise PermissionError(errno.EPERM, rule, str(folder))
    if status.st_mode & 0o077:
        folder.chmod(0o700)
