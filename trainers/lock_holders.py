"""Which processes hold a lock (`flock`), and whether they are stopped, from Linux's /proc. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Args:
        pid: its number.
        name: the name of its program.
        is_stopped: True if a signal, or a debugger, has stopped it.
    """

    pid: int
    name: str
    is_stopped: bool

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name}{', stopped' if self.is_stopped else ''})"


def find_holders(descriptor: int) -> tuple[Holder, ...]:
    """The other processes that hold a lock on the file `descriptor`; empty where the system does not say.

    Processes of other containers are not seen.
    """
    try:
        status = os.fstat(descriptor)
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return ()
    fields = [
        line.split() for line in lines
    ]  # "1: FLOCK ADVISORY WRITE 4711 fd:00:1234 0 EOF"; "1: -> FLOCK ..." waits
    locks = {(words[4], words[5]) for words in fields if len(words) > 5 and words[1] == "FLOCK"}
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    pids = {pid for pid, place in locks if place == file}
    if not pids:  # some file systems show another device than `fstat`
        pids = {pid for pid, place in locks if place.endswith(f":{status.st_ino}")}
    holders = (_holder(int(pid)) for pid in pids if pid.isdigit() and int(pid) != os.getpid())
    return tuple(sorted((holder for holder in holders if holder is not None), key=lambda holder: holder.pid))


def _holder(pid: int) -> Holder | None:
    try:
        name, _, rest = (PROC / str(pid) / "stat").read_text().partition("(")[2].rpartition(")")
    except OSError:  # it has ended
        return None
    return Holder(pid, name, is_stopped=rest.split()[0] in ("T", "t"))
