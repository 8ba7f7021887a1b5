"""Where a search ran: the versions of its packages, and the machine. It imports none of the packages.

A study keeps a list of them as its user attribute `environments`: the one at its start, and each later one that differs from
the last one of its host.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ATTRIBUTE = "environments"
"""The user attribute of a study."""

PACKAGES = ("torch", "optuna", "ray", "timm")
"""Distributions that decide what a search computes; mixfront and Python come first."""


def versions() -> dict[str, str]:
    """Package -> version, of mixfront, Python and `PACKAGES`; a package that is not installed is left out."""
    found = {"mixfront": _version("mixfront"), "python": platform.python_version()}
    found |= {name: _version(name) for name in PACKAGES}
    return {name: version for name, version in found.items() if version is not None}


def describe_environment() -> dict[str, str]:
    """Versions and machine as they are now: `versions()`, `host`, `processor`, `platform`, `cpus`; `since` is the time (UTC)."""
    return {
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        **versions(),
        "host": socket.gethostname(),
        "processor": _processor(),
        "platform": platform.platform(),
        "cpus": str(len(os.sched_getaffinity(0))),
    }


def with_current(stored: object) -> list[dict[str, Any]]:
    """The `stored` environments and the current one, if that is not the last one of this host already."""
    earlier = [dict(item) for item in stored if isinstance(item, Mapping)] if isinstance(stored, Sequence) else []
    current = describe_environment()
    of_host = [item for item in earlier if item.get("host") == current["host"]]
    if of_host and {**of_host[-1], "since": ""} == {**current, "since": ""}:
        return earlier
    return [*earlier, current]


def environment_of(environments: object, began: datetime | None, driver: object) -> Mapping[str, Any]:
    """The environment of the search that trained a trial; empty if none is known.

    It is the last one that is not younger than the trial, of those of its driver's host: several drivers may search at once.

    Args:
        environments: of the study.
        began: when the trial started, local time if it names no zone.
        driver: the id of its driver, "HOST/PID/8 hex digits", if it is known.
    """
    known = [item for item in environments if isinstance(item, Mapping)] if isinstance(environments, Sequence) else []
    host = driver.split("/")[0] if isinstance(driver, str) else None
    candidates = [item for item in known if item.get("host") == host] or known
    earlier = [item for item in candidates if _is_before(item.get("since"), began)]
    return (earlier or candidates[:1] or [{}])[-1]


def _is_before(since: object, began: datetime | None) -> bool:
    """Whether the time `since` (ISO 8601) is not after `began`; False if one is not known."""
    try:
        return began is not None and datetime.fromisoformat(str(since)).timestamp() <= began.timestamp()
    except (ValueError, OverflowError, OSError):
        return False


def environment_text(environment: Mapping[str, Any]) -> str:
    """`mixfront 0.1.0, Python 3.11.7, torch 2.15.0, ... on HOST (PROCESSOR, 2 CPUs, PLATFORM)`."""
    names = ("mixfront", "python", *PACKAGES)
    words = [f"{'Python' if name == 'python' else name} {environment[name]}" for name in names if name in environment]
    machine = [str(environment[key]) for key in ("processor", "platform") if environment.get(key)]
    machine[1:1] = [f"{environment['cpus']} CPUs"] if environment.get("cpus") else []
    return f"{', '.join(words)} on {environment.get('host', 'an unknown host')} ({', '.join(machine)})"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The name of the processor, as its maker gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
