"""Who searches a study: its drivers, and the leases of the trials that run (`nas/study/database/leases.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from nas.analysis.results import Results
from nas.formatting import duration, printable
from nas.study.database.drivers import DRIVER, UNKNOWN, DriverRecord
from nas.study.lock import is_locked
from nas.study.outcomes.unmeasured import UNMEASURED

LeaseState: TypeAlias = Literal["held", "expired", "left", "unmeasured"]
"""Its driver lives; nobody has heard of its driver for the time of a lease; its driver has left it; it was trained, and waits for
its measurement. All but the first are adopted."""
MAX_LISTED = 8  # trials


@dataclass(frozen=True)
class DriverStatus:
    """A driver of a study.

    Args:
        id: "HOST/PID/8 hex digits".
        host: its machine.
        pid: its process.
        since: when it started, UTC.
        heartbeat_age_s: seconds since it was last heard of; None: it holds the lock of the folder, and needs no heartbeat.
        is_alive: False if it has ended without a word.
        trials: the trials that it runs.
    """

    id: str
    host: str
    pid: int
    since: str
    heartbeat_age_s: float | None
    is_alive: bool
    trials: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "trials": list(self.trials)}


@dataclass(frozen=True)
class LeaseStatus:
    """The lease of a trial that runs.

    Args:
        trial: its number.
        driver: the id of its driver; None: it has none.
        state: see `LeaseState`.
    """

    trial: int
    driver: str | None
    state: LeaseState

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def driver_statuses(results: Results) -> list[DriverStatus]:
    """The drivers that announce themselves in the study, the one that started first first."""
    return statuses_of(results.drivers, _running(results), results.read_s, lambda: is_locked(results.folder))


def statuses_of(
    drivers: Mapping[str, DriverRecord],
    running: Mapping[int, str | None],
    now_s: float,
    is_locked: Callable[[], bool],
) -> list[DriverStatus]:
    """The `drivers` of a study, the one that started first first.

    Args:
        drivers: by their ids.
        running: trial that runs -> the id of its driver.
        now_s: the time by the clock of the storage, in seconds since 1970.
        is_locked: whether a driver that needs no heartbeat holds the lock of the folder.
    """
    ordered = sorted(drivers.items(), key=lambda item: (item[1].since, item[0]))
    return [_status(driver, record, running, now_s, is_locked) for driver, record in ordered]


def lease_statuses(results: Results) -> list[LeaseStatus]:
    """The leases of the trials that run, by their numbers."""
    alive = {status.id for status in driver_statuses(results) if status.is_alive}
    unmeasured = {trial.number for trial in results.records if trial.user_attrs.get(UNMEASURED) is not None}

    def state(trial: int, driver: str | None) -> LeaseState:
        if driver is None:
            return "unmeasured" if trial in unmeasured else "left"
        return "held" if driver in alive else "expired"

    return [LeaseStatus(trial, driver, state(trial, driver)) for trial, driver in sorted(_running(results).items())]


def driver_rows(results: Results) -> list[tuple[str, str]]:
    """A row for each driver, and one for the trials without one, as label and text."""
    rows = [("driver", _text(status)) for status in driver_statuses(results)]
    leases = lease_statuses(results)
    without = [status.trial for status in leases if status.state in ("expired", "left")]
    unmeasured = [status.trial for status in leases if status.state == "unmeasured"]
    if unmeasured:
        rows.append(("leases", f"{_trials(unmeasured)} trained, waiting to be measured"))
    if without and results.drivers:
        rows.append(
            ("leases", f"{_trials(without)} without a driver that lives; the next driver that is free adopts them")
        )
    return rows


def _status(
    driver: str, record: DriverRecord, running: Mapping[int, str | None], now_s: float, is_locked: Callable[[], bool]
) -> DriverStatus:
    trials = tuple(sorted(trial for trial, its_driver in running.items() if its_driver == driver))
    beats = record.interval_s > 0
    age_s = max(0.0, now_s - record.at) if beats else None
    is_alive = record.is_heard(now_s) if beats else is_locked()
    return DriverStatus(driver, record.host, record.pid, record.since, age_s, is_alive, trials)


def _running(results: Results) -> dict[int, str | None]:
    """Trial that runs -> its driver; a trial that pauses has none."""
    states = dict(zip(results.summary["trial"], results.summary["state"], strict=True))
    drivers: dict[int, str | None] = {}
    for trial in results.records:
        if states.get(trial.number) == "running":
            driver = trial.user_attrs.get(DRIVER)
            drivers[trial.number] = driver if isinstance(driver, str) and driver != UNKNOWN else None
    return drivers


def _text(status: DriverStatus) -> str:
    """`node3, process 4711, since 2026-11-26 03:50:12 UTC, heard of 4.0 s ago, runs trials 12, 13`."""
    since = status.since.replace("T", " ").removesuffix("+00:00")
    words = [printable(status.host), f"process {status.pid}", f"since {printable(since)} UTC"]
    if not status.is_alive:
        age = "" if status.heartbeat_age_s is None else f" {duration(status.heartbeat_age_s)} ago"
        words.append(f"has ended, last heard of{age}" if age else "has ended")
    elif status.heartbeat_age_s is not None:
        words.append(f"heard of {duration(status.heartbeat_age_s)} ago")
    if status.trials:
        words.append(f"runs {_trials(list(status.trials))}")
    return ", ".join(words)


def _trials(numbers: list[int]) -> str:
    """`trial 3`, or `trials 3, 4 and 17 more`."""
    listed = ", ".join(map(str, numbers[:MAX_LISTED]))
    more = f" and {len(numbers) - MAX_LISTED} more" if len(numbers) > MAX_LISTED else ""
    return f"trial{'s' if len(numbers) > 1 else ''} {listed}{more}"
