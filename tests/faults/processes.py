"""The processes of a study under test: every process that carries a marker in its environment, read from `/proc`.

A process inherits the environment of the one that starts it, so the marker reaches whatever a search starts: hosts, daemons of
Ray, workers, and what outlives a driver that was killed. A process is never chosen by its name alone, for other searches may
run on the machine.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARKER = "MIXFRONT_FAULTS"
"""The environment variable that marks the processes of a study under test; its value is unique to the study."""

DAEMONS = {"raylet": "raylet", "gcs_server": "gcs", "gcs": "gcs"}
"""Name of a program of Ray -> role."""
HOST = "ray_tune.host"
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "dashboard/agent.py", "runtime_env/agent/main.py")


@dataclass(frozen=True)
class MarkedProcess:
    """A process of a study under test.

    Args:
        pid: its number.
        parent: the number of its parent.
        command: its command line, words separated by blanks.
    """

    pid: int
    parent: int
    command: str

    @property
    def program(self) -> str:
        """The name of its program, without the folder."""
        return Path(self.command.split(" ", 1)[0]).name


def marked_processes(value: str) -> list[MarkedProcess]:
    """The living processes whose marker is `value`; zombies do not live."""
    entry = f"{MARKER}={value}".encode()
    return [process for pid in _pids() if (process := _read(pid, entry)) is not None]


def role_of(process: MarkedProcess, drivers: Collection[int]) -> str:
    """The role of `process` in a study with these `drivers`.

    Returns:
        "driver", "host" (the child of the driver that runs Ray), "raylet", "gcs", "agent", "worker" or "other".
    """
    if process.pid in drivers:
        return "driver"
    if process.program in DAEMONS:
        return DAEMONS[process.program]
    if any(name in process.command for name in AGENTS):
        return "agent"
    if process.command.startswith("ray::") or "default_worker.py" in process.command:
        return "worker"
    if HOST in process.command:
        return "host"
    is_spawned = "multiprocessing" in process.command and "resource_tracker" not in process.command
    return "worker" if is_spawned and process.parent in drivers else "other"


def kill_all(value: str, patience_s: float = 10) -> None:
    """Kill every process whose marker is `value`, also those that start meanwhile.

    Raises:
        TimeoutError: some live on.
    """
    end = time.monotonic() + patience_s
    while processes := marked_processes(value):
        for process in processes:
            send_signal(process.pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise TimeoutError(f"processes must end when they are killed, found {processes}")
        time.sleep(0.02)


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Send a signal to a process; False if it has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def send_all(pids: Iterable[int], number: signal.Signals) -> int:
    """Send a signal to processes; returns how many of them live."""
    return sum([send_signal(pid, number) for pid in pids])


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - fifty times a second


def _read(pid: int, entry: bytes) -> MarkedProcess | None:
    """The process `pid` if `entry` is in its environment and it lives."""
    folder = Path("/proc") / str(pid)
    with suppress(OSError, ValueError, IndexError):
        if entry not in (folder / "environ").read_bytes().split(b"\0"):
            return None
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        if state in "ZX":
            return None
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return MarkedProcess(pid, int(parent), command.strip())
    return None
