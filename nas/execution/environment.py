"""Environment variables of processes that train; they must be set before such a process starts."""

from __future__ import annotations

import os

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
