"""Watches Ray in the host: the processes of a private Ray, or the head of a cluster and the daemon of this node.

Ray itself takes a minute to notice that its head is gone, and does not notice in every case that the daemon of the node is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Protocol

from nas.execution.executors.ray_tune.address import connect_error

Check = Callable[[], str | None]
"""Returns what is wrong; None: nothing."""

MAX_CONNECT_ERRORS = 2
"""A cluster is lost when this many connections in a row fail."""


class Process(Protocol):
    """A process of Ray, such as a `subprocess.Popen`."""

    def poll(self) -> int | None:
        """The exit status; None: it runs."""


def check_processes(processes: Mapping[str, Process]) -> Check:
    """A check of the processes of a private Ray, by name."""

    def check() -> str | None:
        for name, process in processes.items():
            status = process.poll()
            if status is not None:
                cause = f"signal {-status}" if status < 0 else f"exit status {status}"
                return f"the process {name} of Ray ended ({cause})"
        return None

    return check


def check_cluster(address: str, socket_path: str) -> Check:
    """A check of the head of a cluster at `address`, and of the raylet of this node, which listens at `socket_path`."""
    errors = 0

    def check() -> str | None:
        nonlocal errors
        if not _listens(socket_path):
            return "the raylet of this node ended"
        problem = connect_error(address)
        errors = 0 if problem is None else errors + 1
        return f"the Ray cluster at {address} does not answer ({problem})" if errors >= MAX_CONNECT_ERRORS else None

    return check


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5.0)
        try:
            client.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # its queue is full, so it lives
            return True
    return True
