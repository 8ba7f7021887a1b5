"""Environment variables of processes that train; they must be set before such a process starts.

They concern the memory of the process, and a user without an entry in the password database, as in
`docker run --user 1234`: Ray Tune refuses to be imported where `~` has no meaning, and `torch.compile` asks for the name of
the user.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path

# glibc returns large freed blocks to the system, and each training step allocates them again, page by page. With these
# settings the memory is kept: a step of a convolution takes half the time in channels-first layout, nine tenths in
# channels-last, at the same peak memory. All three are needed: the trim threshold alone makes it slower.
MALLOC_SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}


def keep_memory() -> None:
    """Make processes that start from now on keep freed memory, unless the user has set one of these variables."""
    if not MALLOC_SETTINGS.keys() & os.environ.keys():
        os.environ.update(MALLOC_SETTINGS)


def name_user() -> None:
    """Give the user a name and a home folder in the environment, if neither it nor the password database has them."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid{os.getuid()}"
