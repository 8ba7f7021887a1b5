"""What the processes that train are to find in their environment when they start."""

from __future__ import annotations

import os

# glibc gives large blocks back to the system when they are freed, and each training step fetches them anew, page by page.
# Kept, a step of a convolution takes half of the time channels first, nine tenths channels last, in as much memory.
# All together: with the threshold of trimming alone it takes longer.
MALLOC_SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}


def keep_memory() -> None:
    """Have processes that are started from now on keep the memory that they free, unless the user has settings of his own."""
    if not MALLOC_SETTINGS.keys() & os.environ.keys():
        os.environ.update(MALLOC_SETTINGS)
