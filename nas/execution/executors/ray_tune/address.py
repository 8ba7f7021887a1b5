"""The address of a Ray cluster: its form, and how `auto` finds one. Needs no ray.

Ray itself would also look for processes of any Ray on this machine, and so join the private Ray of another search.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from nas.errors import UsageError
from trainers.input_files import read_input

KEY = "resources.address"
FORM = 'must be "auto" or HOST:PORT'
TIMEOUT_S = 5.0
ADDRESS_FILE = "ray/ray_current_cluster"
MAX_ADDRESS_BYTES = 1 << 20
"""The file in which `ray start` keeps the address of its cluster, below Ray's folder for temporary files."""


def resolve(address: str, environment: Mapping[str, str] = os.environ) -> str:
    """The HOST:PORT of the cluster that `address` names: HOST:PORT, or "auto" for the one that runs on this machine.

    "auto" is the cluster of `RAY_ADDRESS` (which `ray job submit` sets), or the one that `ray start` has started here.

    Raises:
        UsageError: `address` is none, or there is no cluster here.
    """
    if address != "auto":
        return _check_form(address, address)
    if environment.get("RAY_ADDRESS"):
        return _check_form(environment["RAY_ADDRESS"], f"RAY_ADDRESS={environment['RAY_ADDRESS']}")
    file = Path(environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or "/tmp", ADDRESS_FILE)
    try:
        return _check_form(read_input(file, MAX_ADDRESS_BYTES).decode().strip(), f"{file}")
    except (OSError, ValueError):
        rule = 'is "auto", but no Ray cluster was started on this machine (`ray start`), and RAY_ADDRESS is not set'
        raise UsageError(f"{KEY}: {rule}") from None


def _check_form(address: str, shown: str) -> str:
    if address.startswith("ray://"):
        rule = f"{FORM}; run the search on a node of the cluster, or with `ray job submit`, instead of Ray's client"
        raise UsageError(f"{KEY}: {rule}, found {shown}")
    host, _, port = address.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536
    if not host or not is_port or any(character.isspace() or character in "/\0" for character in host):
        raise UsageError(f"{KEY}: {FORM}, found {shown}")
    return address


def check_reachable(address: str) -> None:
    """Raise `UsageError` if nothing answers at `address`, HOST:PORT, within seconds; Ray itself would try for minutes."""
    problem = connect_error(address)
    if problem is not None:
        raise UsageError(f"{KEY}: no Ray cluster answers there ({problem}), found {address}")


def connect_error(address: str) -> str | None:
    """Why nothing answers at `address`, HOST:PORT; None if something does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S).close()
    except (OSError, UnicodeError) as error:
        return str(error)
    return None
