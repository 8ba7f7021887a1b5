"""A trial that was trained and waits for its measurement (`nas.driver.measurements` says why): the attribute `unmeasured`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.study.outcomes.record_json import from_record, to_record
from nas.study.outcomes.records import Completed, Paused

UNMEASURED = "unmeasured"
"""The user attribute of a trial."""


@dataclass(frozen=True)
class Unmeasured:
    """A training that waits for its measurement.

    Args:
        trained: its outcome, without the measured values.
        driver: the driver that has trained it, and may have its checkpoint; None: it is not known.
    """

    trained: Completed | Paused
    driver: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"driver": self.driver, "record": to_record(self.trained)}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Unmeasured | None:
        """The training in the user attributes of a trial; None if there is none, or one of another shape."""
        plain = attributes.get(UNMEASURED)
        if not isinstance(plain, Mapping) or not isinstance(plain.get("record"), Mapping):
            return None
        try:
            trained = from_record(plain["record"])
        except (ValueError, KeyError, TypeError):
            return None
        driver = plain.get("driver")
        if not isinstance(trained, Completed | Paused) or not isinstance(driver, str | None):
            return None
        return cls(trained, driver)
