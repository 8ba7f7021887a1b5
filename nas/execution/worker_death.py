"""How a process died, in words, and whether the kernel killed it because memory ran out."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
VMSTAT = Path("/proc/vmstat")


def count_oom_kills() -> int:
    """How many processes of this control group, or else of this machine, the kernel has killed because memory ran out.

    A process that dies by SIGKILL while the number grows was most likely one of them. 0 where the system does not say.
    """
    for file in (_memory_events(), VMSTAT):
        with suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0


def describe_death(exit_code: int | None, is_out_of_memory: bool = False) -> str:
    """One line about a worker that died.

    Args:
        exit_code: the status of the process, or the negative number of the signal that ended it; None: unknown.
        is_out_of_memory: the kernel has killed a process meanwhile because memory ran out.
    """
    if exit_code is None:
        return "the worker died"
    if exit_code >= 0:
        return f"the worker died (exit code {exit_code})"
    if exit_code == -signal.SIGKILL and is_out_of_memory:
        return "out of memory: the worker died, killed by the kernel (signal 9)"
    name = signal.strsignal(-exit_code) or ""
    return f"the worker died{f': {name.lower()}' if name else ''} (signal {-exit_code})"


def _memory_events() -> Path:
    """The file of the events of this process's control group (version 2)."""
    folder = "/"
    with suppress(OSError):
        for line in CGROUP.read_text().splitlines():
            if line.startswith("0::"):
                folder = line[len("0::") :]
    return CGROUPS / folder.lstrip("/") / "memory.events"
