"""The processes of a session: the host and all that Ray has started on this machine, whatever their parents."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

MAX_WAIT_S = 10.0
PROC = Path("/proc")


def members(session: int) -> list[int]:
    """The processes of `session` that run."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything; then: state, parent, process group, session.
            state, _, _, of_process = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(of_process) == session and state not in ("Z", "X"):
                found.append(int(folder.name))
    return found


def kill_session(session: int) -> None:
    """Kill every process of `session` but this one, and wait until they have ended."""
    end_s = time.monotonic() + MAX_WAIT_S
    while (others := [process for process in members(session) if process != os.getpid()]) and time.monotonic() < end_s:
        for process in others:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def end_session(session: int) -> NoReturn:
    """Kill every process of `session`, which this process leads, and end this process."""
    kill_session(session)
    os._exit(1)
