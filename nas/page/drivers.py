"""The drivers of a study as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.analysis.drivers import DriverStatus


def plain_drivers(statuses: Sequence[DriverStatus], now_s: float) -> list[dict[str, Any]]:
    """The drivers as plain JSON, which stays the same while they live and run the same trials.

    Args:
        statuses: the drivers.
        now_s: the time at which they were looked at, in seconds since 1970.

    Returns:
        The fields of `nas.analysis.drivers.DriverStatus`, with `heard_s` in place of `heartbeat_age_s`: when one that is lost was
        last heard of, in seconds since 1970; null if it lives, or holds the lock of the folder and needs no heartbeat.
    """
    return [_plain(status, now_s) for status in statuses]


def _plain(status: DriverStatus, now_s: float) -> dict[str, Any]:
    plain = status.to_dict()
    age_s = plain.pop("heartbeat_age_s")
    return plain | {"heard_s": None if status.is_alive or age_s is None else round(now_s - age_s)}
