"""A folder in which a worker process works whose trials' files are elsewhere: on the machine's disk, removed with the process."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from trainers.node_folder import node_folder

_LOCK = "lock"


def create_work_folder() -> Path:
    """Create a folder for this process, which is removed when the process ends. Those that killed processes left are removed now.

    Raises:
        OSError: the disk is full or broken.
    """
    parent = node_folder("work")
    folder = Path(tempfile.mkdtemp(dir=parent))
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # as long as the process lives
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _remove_left_folders(parent, folder)
    return folder


def _remove_left_folders(parent: Path, own: Path) -> None:
    """Remove the folders that nobody locks."""
    for folder in parent.iterdir():
        if folder == own:
            continue
        try:
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # locked, so its process lives; or just being created
            continue
