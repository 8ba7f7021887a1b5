"""Leases: which driver runs a trial, and whether that driver lives.

The user attribute `driver` of a trial that runs names its driver; that is its lease. A driver that runs announces itself in a
user attribute `driver:ID` of the study, and counts up the `beats` in it every few seconds. The lease has expired when nobody has
seen a new beat for `LEASE_S`, by the monotonic clock of the driver that looks: clocks that differ or jump, and a storage that was
away, do not matter. Then another driver may adopt the trial. A driver that ends releases its trials: their `driver` becomes null.

In an SQLite file there is one driver, which holds the lock of the folder. So whatever another one has left has ended.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nas.errors import StorageError
from nas.study.database.connections import Query
from nas.study.database.driver_rows import read_drivers, remove_driver, trials_of_driver, write_driver
from nas.study.database.drivers import DRIVER, HEARTBEAT_S, LEASE_S, UNKNOWN, DriverRecord
from nas.study.database.transactions import StudyTransactions

JOIN_S = 5.0
"""Longest wait at the end of a search for a heartbeat that hangs, as on a server that is away."""
POLL_S = 1.0
"""Interval at which a driver that has nothing to do looks for work that others have left."""

logger = logging.getLogger(__name__)


def new_driver_id() -> str:
    """An id for this driver: "HOST/PID/8 hex digits"."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"


class Leases(ABC):
    """What a driver knows of the leases of a study.

    Args:
        driver: the id of this driver.
        index: that of its record (`DriverRecord`).
    """

    is_shared = False
    poll_s = 0.0
    index = 0
    driver: str

    @abstractmethod
    def may_take(self, number: int, driver: str | None) -> bool:
        """True if the trial `number`, which `driver` runs, may be adopted; None: its driver has left it."""

    def is_heard(self, driver: str | None, since_s: float) -> bool:
        """True if `driver` is known to have lived after `since_s` of the monotonic clock, or has nothing to be heard of."""
        return True

    def observe(self, query: Query) -> None:  # noqa: B027 (optional)
        """Look, within a transaction, which drivers live."""

    def now_s(self) -> float:
        """The time by the monotonic clock of this process."""
        return time.monotonic()


class SoleLeases(Leases):
    """The only driver of a study: the lock of the folder proves that earlier ones have ended.

    Args:
        transactions: those of the study.
        driver: the id of this driver.
    """

    def __init__(self, transactions: StudyTransactions, driver: str | None = None) -> None:
        self.transactions = transactions
        self.driver = driver or new_driver_id()

    def may_take(self, number: int, driver: str | None) -> bool:
        """True: whoever ran it has ended."""
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Announce this driver within the block; earlier ones are removed."""

        def announce(query: Query) -> None:
            for other in read_drivers(query, self.transactions.study):
                remove_driver(query, self.transactions.study, other)
            record = replace(_own_record(self.transactions.now_s(query)), interval_s=0.0)
            write_driver(query, self.transactions.study, self.driver, record)

        self.transactions.locked(announce)
        try:
            yield
        finally:
            with suppress(StorageError):
                self.transactions.locked(lambda query: remove_driver(query, self.transactions.study, self.driver))


@dataclass
class _Observed:
    """A driver as this process has seen it: its beats, and the time at which they were first seen."""

    beats: int
    since_s: float


class SharedLeases(Leases):
    """One of several drivers of a study.

    Args:
        transactions: those of the study.
        lease_s: seconds without a heartbeat after which a driver has ended.
        interval_s: seconds between two heartbeats of this driver; at most a third of `lease_s`, which tests shorten, too.
        poll_s: see `POLL_S`.
        driver: the id of this driver.
        clock: a monotonic clock, in seconds.
    """

    is_shared = True

    def __init__(
        self,
        transactions: StudyTransactions,
        lease_s: float = LEASE_S,
        interval_s: float = HEARTBEAT_S,
        poll_s: float = POLL_S,
        driver: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transactions = transactions
        self.lease_s = lease_s
        self.interval_s = interval_s
        self.poll_s = poll_s
        self.driver = driver or new_driver_id()
        self.clock = clock
        self.index = 0
        self._record: DriverRecord | None = None
        self._observed: dict[str, _Observed] = {}
        self._unknown_since_s: dict[int, float] = {}  # trial without a driver -> when it was first seen
        self._last_look_s: float | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def may_take(self, number: int, driver: str | None) -> bool:
        """True if the driver has left the trial, or its lease has expired."""
        if driver is None or driver == self.driver:
            return True
        now_s = self.clock()
        with self._lock:
            if driver == UNKNOWN:
                return now_s - self._unknown_since_s.setdefault(number, now_s) >= self.lease_s
            observed = self._observed.get(driver)
            return observed is None or now_s - observed.since_s >= self.lease_s

    def is_heard(self, driver: str | None, since_s: float) -> bool:
        """True if a beat of `driver` was seen after `since_s`."""
        with self._lock:
            observed = self._observed.get(driver or UNKNOWN)
            return observed is not None and observed.since_s > since_s

    def now_s(self) -> float:
        """The time by the clock of this driver."""
        return self.clock()

    def observe(self, query: Query) -> None:
        """Read the beats of all drivers."""
        records = read_drivers(query, self.transactions.study)
        now_s = self.clock()
        with self._lock:
            looked_away = self._last_look_s is None or now_s - self._last_look_s > self.lease_s / 2
            self._last_look_s = now_s
            for driver, record in records.items():
                observed = self._observed.get(driver)
                if observed is None or observed.beats != record.beats or looked_away:
                    self._observed[driver] = _Observed(record.beats, now_s)
            for driver in self._observed.keys() - records.keys():
                del self._observed[driver]

    def beat(self) -> None:
        """Announce that this driver lives, look at the others, and forget those that have ended and have nothing left.

        Raises:
            StorageError: the storage is away.
        """
        self.transactions.unlocked(self._beat)

    def _beat(self, query: Query) -> None:
        now_s = self.transactions.now_s(query)
        record = self._record or _own_record(now_s)
        self._record = replace(record, at=now_s, beats=record.beats + 1, index=self.index, interval_s=self.interval_s)
        write_driver(query, self.transactions.study, self.driver, self._record)
        self.observe(query)
        with self._lock:
            expired = [name for name, seen in self._observed.items() if self.clock() - seen.since_s >= self.lease_s]
        for name in expired:
            if name != self.driver and not trials_of_driver(query, self.transactions.study, name):
                remove_driver(query, self.transactions.study, name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within the block a thread announces that this driver lives; afterwards its trials are released.

        Raises:
            StorageError: the storage is away.
        """
        self.announce()
        thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(JOIN_S)
            with suppress(StorageError):  # then the leases expire
                self.release()

    def announce(self) -> None:
        """Announce this driver, before it runs trials.

        Raises:
            StorageError: the storage is away.
        """

        def start(query: Query) -> None:
            drivers = read_drivers(query, self.transactions.study)  # this one, too, if an answer was lost
            taken = {record.index for driver, record in drivers.items() if driver != self.driver}
            self.index = next(index for index in range(len(taken) + 1) if index not in taken)
            self._beat(query)

        self.transactions.locked(start)

    def _run(self) -> None:
        while not self._ended.wait(self.interval_s):
            try:
                self.beat()
            except StorageError as error:
                logger.info("no heartbeat: %s", error)

    def release(self) -> None:
        """Release the trials of this driver, and forget it.

        Raises:
            StorageError: the storage is away.
        """

        def leave(query: Query) -> None:
            for trial in trials_of_driver(query, self.transactions.study, self.driver):
                query(
                    "UPDATE trial_user_attributes SET value_json = 'null' WHERE trial_id = ? AND key = ?",
                    (trial, DRIVER),
                )
            remove_driver(query, self.transactions.study, self.driver)

        self.transactions.locked(leave)


def _own_record(at_s: float) -> DriverRecord:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return DriverRecord(socket.gethostname(), os.getpid(), since, at_s)
