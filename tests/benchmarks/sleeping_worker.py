"""A worker that sleeps, in a module of its own, which Ray's processes import by name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from nas.execution.base import WorkerSite


class Sleeper:
    """A worker that sleeps."""

    def __init__(self, site: WorkerSite) -> None:
        self.device_label = f"{site.device} asleep"

    def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Sleep for `seconds`; returns when that was, by the clock of the machine, and where."""
        start = time.time()
        time.sleep(payload["seconds"])
        return {"start": start, "end": time.time(), "pid": os.getpid()}
