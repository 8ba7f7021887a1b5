"""The link to a node can be cut and joined again."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest
from node_network import NodeNetwork, can_isolate

needs_namespaces = pytest.mark.skipif(not can_isolate(), reason="this process may not create network namespaces")
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.5)"


@needs_namespaces
def test_a_node_is_reached_only_while_its_link_is_up() -> None:
    network = NodeNetwork(2).open()
    try:
        with socket.create_server((network.address(0), 0)) as server:
            port = str(server.getsockname()[1])
            command = network.command(1, [sys.executable, "-S", "-c", CONNECT, network.address(0), port])

            def is_reached(patience_s: float) -> bool:
                end = time.monotonic() + patience_s
                while subprocess.run(command, capture_output=True).returncode != 0:
                    if time.monotonic() > end:
                        return False
                return True

            assert is_reached(30)
            network.cut(1)
            assert not is_reached(0)
            network.join(1)
            assert is_reached(30)
    finally:
        network.close()
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert network.name not in spaces
