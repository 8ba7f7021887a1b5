"""A Ray cluster of several nodes on this machine, each with processes of its own, as `ray start` starts them."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node_network import NodeNetwork
from processes import MARKER, kill_all, marked_processes

LOOPBACK = "127.0.0.1"
START_PATIENCE_S = 120.0


@dataclass
class RayCluster:
    """A cluster whose node 0 is the head.

    Args:
        marker: the marker of the study; each node has one of its own.
        folder: for the temporary files of Ray; its path is short.
        nodes: number of nodes; each has one CPU.
        temporary: the folder for temporary files of its workers.
        network: the links between the nodes; None: all are on the loopback interface.
    """

    marker: str
    folder: Path
    nodes: int
    temporary: Path
    network: NodeNetwork | None = None
    port: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(32))

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind((self.host(0), 0))
            self.port = free.getsockname()[1]

    def host(self, node: int) -> str:
        """The IP address of `node`."""
        return LOOPBACK if self.network is None else self.network.address(node)

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return f"{self.host(0)}:{self.port}"

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables of all who join it."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def marker_of(self, node: int) -> str:
        """The marker of the processes of `node`."""
        return f"{self.marker}-{node}"

    def pids(self, node: int) -> frozenset[int]:
        """The processes of `node`."""
        return frozenset(process.pid for process in marked_processes(self.marker_of(node)))

    def start(self, node: int) -> None:
        """Start `node`; the head is waited for."""
        place = (
            ["--head", f"--port={self.port}", "--include-dashboard=false"]
            if node == 0
            else [f"--address={self.address}"]
        )
        folder = [f"--temp-dir={self.folder}"] if node == 0 else []
        command = [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--block",
            f"--node-ip-address={self.host(node)}",
        ]
        command += [*place, *folder, "--num-cpus=1", "--disable-usage-stats"]
        environment = {**os.environ, **self.variables, MARKER: self.marker_of(node), "TMPDIR": str(self.temporary)}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.Popen(
            command if self.network is None else self.network.command(node, command),
            env=environment,
            start_new_session=True,
            **quiet,
        )
        if node == 0:
            self._wait_for_head()

    def kill(self, node: int) -> frozenset[int]:
        """Kill all processes of `node`; returns their numbers."""
        pids = self.pids(node)
        kill_all(self.marker_of(node))
        return pids

    def end(self) -> None:
        """Kill all nodes, and remove their network."""
        for node in range(self.nodes):
            kill_all(self.marker_of(node))
        if self.network is not None:
            self.network.close()

    def _wait_for_head(self) -> None:
        end = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < end:
            with socket.socket() as client:
                if client.connect_ex((self.host(0), self.port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"the head of the cluster must listen at {self.address}, found nothing there")
