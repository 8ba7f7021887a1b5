"""Watches a search from outside: which process trains, and which weights were written. The product is not changed for it.

A training holds the lock file `cpu.busy` of the device shared while it runs the steps and the validation of an epoch
(`trainers.device_lock`), and the kernel says in `/proc/locks` which process holds it. So the first step after a fault is known
to the interval at which the file is read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL_S = 0.02
LOCKS = Path("/proc/locks")


@dataclass
class TrainingProbe:
    """What was seen of a search.

    Args:
        lock_file: the lock file that trainings hold shared.
        trials: the folder with a folder of files for each trial.
    """

    lock_file: Path
    trials: Path
    pids: frozenset[int] = frozenset()
    """Processes that train now."""
    segment_ends: int = 0
    """Number of times that a process has stopped to train, as at the end of a segment."""
    weights: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    """Trial -> (inode, time of the last change) of each file of weights that it has had."""
    _excused: dict[int, frozenset[tuple[int, int]]] = field(default_factory=dict)

    def look(self) -> None:
        """Look once."""
        pids = _holders(self.lock_file)
        self.segment_ends += len(self.pids - pids)
        self.pids = pids
        for file in self.trials.glob("*/model.safetensors"):
            try:
                status = file.stat()
            except OSError:
                continue  # being replaced
            self.weights.setdefault(int(file.parent.name), set()).add((status.st_ino, status.st_mtime_ns))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at each interval within the block, in a thread of its own."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(INTERVAL_S):
                self.look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.look()

    def excuse(self, trial: int) -> None:
        """Do not count the weights that `trial` has now: a fault has damaged or removed them, and they must be written again."""
        self.look()
        self._excused[trial] = frozenset(self.weights.get(trial, ()))

    def writes(self) -> dict[int, int]:
        """Trial -> number of times that its weights were written."""
        return {trial: len(files - self._excused.get(trial, frozenset())) for trial, files in self.weights.items()}


def _holders(file: Path) -> frozenset[int]:
    """The processes that hold a shared `flock` on `file`."""
    try:
        inode = str(file.stat().st_ino)
    except OSError:
        return frozenset()
    lines = (line.split() for line in LOCKS.read_text().splitlines())
    return frozenset(
        int(words[4])
        for words in lines
        if words[1:4] == ["FLOCK", "ADVISORY", "READ"] and words[5].endswith(f":{inode}")
    )
