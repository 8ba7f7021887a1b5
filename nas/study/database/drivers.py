"""The drivers of a study, as they announce themselves in it (`leases`). Needs neither Optuna nor SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEASE_S = 60.0
"""A driver without a heartbeat for this time has ended; others may adopt its trials."""
HEARTBEAT_S = 10.0

DRIVER = "driver"
"""The user attribute of a trial that names its driver; null: it was left."""
DRIVERS = "driver:"
"""The start of the names of the study's user attributes that announce drivers."""
UNKNOWN = ""
"""The driver of a trial that names none, as one that Optuna's own tools have started."""


@dataclass(frozen=True)
class DriverRecord:
    """A driver, as it announces itself.

    Args:
        host: its machine.
        pid: its process.
        since: when it started, UTC.
        at: the time of its last beat, seconds since 1970 by the clock of the storage.
        beats: the number of its beats.
        index: differs from those of all drivers that ran when it started; the first has 0.
        interval_s: seconds between two beats; 0: it does not beat, since it holds the lock of the folder.
    """

    host: str
    pid: int
    since: str
    at: float
    beats: int = 0
    index: int = 0
    interval_s: float = HEARTBEAT_S

    def is_heard(self, now_s: float) -> bool:
        """True if it has announced itself within the time of a lease before `now_s`; one that holds a lock does not."""
        return self.interval_s > 0 and now_s - self.at < LEASE_S

    @classmethod
    def from_dict(cls, plain: object) -> DriverRecord | None:
        """The inverse of `dataclasses.asdict`; None for what is no record."""
        if not isinstance(plain, Mapping):
            return None
        kinds = {"host": str, "pid": int, "since": str, "at": float, "beats": int, "index": int, "interval_s": float}
        try:
            return cls(**{name: kind(plain[name]) for name, kind in kinds.items()})
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


def drivers_of(attributes: Mapping[str, Any]) -> dict[str, DriverRecord]:
    """The drivers in the user `attributes` of a study, by their ids."""
    found = {name.removeprefix(DRIVERS): value for name, value in attributes.items() if name.startswith(DRIVERS)}
    records = {driver: DriverRecord.from_dict(plain) for driver, plain in found.items()}
    return {driver: record for driver, record in records.items() if record is not None}
