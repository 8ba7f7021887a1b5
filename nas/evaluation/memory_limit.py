"""A limit on the memory of a worker on a CPU, so that a network that is too large fails alone instead of the machine.

The limit is Linux's RLIMIT_DATA: private memory that may be written to, of all threads, whether it was touched or not. Shared and
mapped files, such as the decoded images, do not count. An allocation above it fails as one that the machine refuses: numpy and
Python raise `MemoryError`, torch `RuntimeError`. Worker processes hold 0.8 GB for torch itself, and about 10 MB for each thread.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import StudyError

DEFAULT_SHARE = 0.9
"""Share of the machine's memory that one worker may have if the study sets no limit: the rest keeps the machine alive."""

FULL_SHARE = 0.8
"""Where the machine grants no more memory than it has, an allocation failed for the limit if the process would hold at least
this share of the limit."""

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
STRICT = "2"
"""The setting by which Linux refuses memory that it may not have later; otherwise only limits make an allocation fail."""

CGROUP_LIMIT_FILE = Path("/sys/fs/cgroup/memory.max")
STATUS = Path("/proc/self/status")


def host_memory_bytes() -> int:
    """The memory of this machine, or of the control group of this process where that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(total, int(CGROUP_LIMIT_FILE.read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return total


def held_bytes() -> int | None:
    """The memory of this process that counts for the limit; None where the system does not say."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:")), None)


@contextmanager
def limited_memory(max_bytes: int | None) -> Iterator[None]:
    """Within the block this process holds at most `max_bytes`, or what it held before if that is more; None: no limit."""
    if max_bytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = max_bytes if hard == resource.RLIM_INFINITY else min(max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def worker_limit(max_bytes: int | None, device: str) -> int | None:
    """The limit of a worker on `device`, in bytes: `max_bytes`, or most of the machine's memory; None on a GPU.

    A GPU's driver reserves far more than it uses.

    Raises:
        StudyError: the worker holds as much before its first trial.
    """
    if device != "cpu":
        return None
    held = held_bytes() or 0
    if max_bytes is not None and max_bytes <= held:
        rule = f"must be above the {held / 1e9:.2f} GB that a worker holds before its first trial"
        raise StudyError(f"resources.memory_per_trial: {rule}, found {max_bytes / 1e9:.2f} GB")
    return max_bytes or int(DEFAULT_SHARE * host_memory_bytes())


def exceeds_limit(max_bytes: int | None, request_bytes: int = 0) -> bool:
    """True if an allocation of `request_bytes` (0: unknown) failed for the limit of `max_bytes`, and not for other processes.

    Call while what the failed work held is still held. None: there was no limit.
    """
    if max_bytes is None:
        return False
    try:
        is_strict = OVERCOMMIT.read_text().strip() == STRICT
    except OSError:
        is_strict = True
    return not is_strict or (held_bytes() or 0) + request_bytes >= FULL_SHARE * max_bytes
