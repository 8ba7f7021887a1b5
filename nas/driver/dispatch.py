"""What a free worker gets next, and when what came of its last trial is written: no worker waits for the sampler or the disk if
that can be helped.

Knows neither Ray nor torch.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.driver.ask_tell import Searcher
from nas.errors import StudyError
from nas.execution.interrupts import Interrupts
from nas.study.layout import forget_checkpoint
from nas.study.trials import Ended, Proposal
from nas.terminal.progress import Watch

LATEST = 0.2  # seconds after which a result is written, whatever else there is to do
AHEAD = 0.005  # of a trial's time: proposals that take longer are asked for ahead, and know a result less


class Dispatch:
    """Stands between a `Searcher` and the workers; these have names of their own for trials.

    Args:
        searcher: proposes, and is told.
        folder_of: gives the folder of a trial.
        workers: how many there are.
        watch: is told of each start and end.
        interrupts: of this process.
    """

    def __init__(
        self,
        searcher: Searcher,
        folder_of: Callable[[int], Path],
        workers: int,
        watch: Watch,
        interrupts: Interrupts,
    ) -> None:
        self.searcher = searcher
        self.folder_of = folder_of
        self.workers = workers
        self.watch = watch
        self.interrupts = interrupts
        self._unfit: str | None = None  # why a worker cannot begin
        self._numbers: dict[str, int] = {}  # of trials that were handed out
        self._waiting: set[str] = set()  # those of them that have not begun
        self._results: deque[tuple[float, int, Mapping[str, Any] | None]] = deque()  # when they came; not yet written
        self._ahead: Proposal | None = None
        self._asking_s = 0.0  # what the last proposal took
        self._trials_s: deque[float] = deque(maxlen=8)  # what the last trials took
        self._handed_out = 0.0  # when the last trial was

    def hand_out(self, name: str) -> Proposal | None:
        """The next trial, which a worker is to run by this `name`; None if there is none, now or (unless `waits`) ever."""
        self.check()
        proposal, self._ahead = self._ahead or self._propose(), None
        if proposal is None:
            while self.searcher.stopped:
                self._ended(self.searcher.stopped.pop())
            return None
        self._numbers[name] = proposal.number
        self._handed_out = time.perf_counter()
        self._waiting.add(name)
        self.watch.started(proposal.number)
        return proposal

    @property
    def waits(self) -> bool:
        """True if there may be a trial to hand out later."""
        return self.searcher.waits

    def begun(self, name: str) -> None:
        """A worker has got the trial."""
        self._waiting.discard(name)

    def done(self, name: str, record: Mapping[str, Any] | None) -> None:
        """The trial has ended with this `record`, or its worker died: None."""
        number = self._numbers.pop(name, None)
        self._waiting.discard(name)
        if number is None:
            return
        if record is not None and "unfit" in record:  # it would be so for trial after trial: this one stays as it was
            self._unfit = str(record["unfit"])
            return
        if record is not None and "wall_s" in record:
            self._trials_s.append(record["wall_s"])
        self._results.append((time.perf_counter(), number, record))
        self.interrupts.check()

    def pulse(self) -> None:
        """Do what is due; to be called several times a second."""
        self.write_soon()
        self.check()
        self.look_ahead()

    def check(self) -> None:
        """Raise what ends the search: `KeyboardInterrupt` after a signal, `StudyError` where a worker cannot begin."""
        self.interrupts.check()
        if self._unfit is not None:
            raise StudyError(f"a worker cannot begin: {self._unfit}")

    def look_ahead(self) -> None:
        """Where trials are short, a worker is not to wait for its next one: ask for that while all are at work."""
        shortest_s = min(self._trials_s, default=math.inf)
        if len(self._numbers) < self.workers or self._ahead is not None or self._asking_s < AHEAD * shortest_s:
            return
        # Not sooner: others may end, and it is to know that.
        if time.perf_counter() - self._handed_out > shortest_s / 3:
            self._ahead = self._propose()

    def write_soon(self) -> None:
        """Write results, unless a worker is about to get its next trial: that comes first."""
        handing = self._waiting or (self._ahead is not None and len(self._numbers) < self.workers)
        if self._results and (not handing or time.perf_counter() - self._results[0][0] > LATEST):
            self.write()

    def write(self) -> None:
        """Tell the study what came of trials that have ended."""
        while self._results:
            _, number, record = self._results.popleft()
            self._ended(self.searcher.finish(number, record))

    def _propose(self) -> Proposal | None:
        self.write()
        begun = time.perf_counter()
        proposal = self.searcher.propose()
        self._asking_s = time.perf_counter() - begun
        return proposal

    def _ended(self, ended: Ended) -> None:
        self.watch.ended(ended)
        if not ended.pauses:
            forget_checkpoint(self.folder_of(ended.number))
