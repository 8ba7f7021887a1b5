"""Network namespaces for the nodes of a cluster, so that the link to a node can be cut as when a cable is pulled.

The head is on this machine; each other node is in a namespace with one link to a bridge of this machine. The addresses are of
198.18.0.0/15, which is reserved for tests of networks (RFC 2544) and leads nowhere else. Needs root and the program `ip`.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field


def can_isolate() -> bool:
    """True if this process may create a network namespace and a link to it."""
    if shutil.which("ip") is None:
        return False
    try:
        NodeNetwork(2).open().close()
    except subprocess.CalledProcessError:
        return False
    return True


@dataclass
class NodeNetwork:
    """A bridge, and a namespace for each node but the first.

    Args:
        nodes: number of nodes, 2 to 200.
    """

    nodes: int
    name: str = field(default_factory=lambda: f"mf{secrets.token_hex(3)}")
    subnet: str = field(default_factory=lambda: f"198.18.{secrets.randbelow(256)}")

    def open(self) -> NodeNetwork:
        """Create it.

        Raises:
            subprocess.CalledProcessError: this process may not.
        """
        try:
            _ip("link", "add", self.name, "type", "bridge")
            _ip("addr", "add", f"{self.address(0)}/24", "dev", self.name)
            _ip("link", "set", self.name, "up")
            for node in range(1, self.nodes):
                self._add(node)
        except BaseException:
            self.close()
            raise
        return self

    def _add(self, node: int) -> None:
        space, link = self._space(node), self._link(node)
        inside = ("ip", "netns", "exec", space, "ip")
        _ip("netns", "add", space)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", link, "master", self.name, "up")
        for words in (
            ("addr", "add", f"{self.address(node)}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            subprocess.run([*inside, *words], check=True, capture_output=True)

    def address(self, node: int) -> str:
        """The IP address of `node`."""
        return f"{self.subnet}.{node + 1}"

    def command(self, node: int, words: Sequence[str]) -> list[str]:
        """The command `words` on `node`."""
        return [*words] if node == 0 else ["ip", "netns", "exec", self._space(node), *words]

    def cut(self, node: int) -> None:
        """Cut the link to `node`, which is not the first."""
        _ip("link", "set", self._link(node), "down")

    def join(self, node: int) -> None:
        """Undo `cut`."""
        _ip("link", "set", self._link(node), "up")

    def close(self) -> None:
        """Remove it; the processes of its nodes have ended."""
        for node in range(1, self.nodes):
            subprocess.run(["ip", "netns", "del", self._space(node)], capture_output=True)
            subprocess.run(["ip", "link", "del", self._link(node)], capture_output=True)  # gone with its other end
        subprocess.run(["ip", "link", "del", self.name], capture_output=True)

    def _space(self, node: int) -> str:
        return f"{self.name}-{node}"

    def _link(self, node: int) -> str:
        return f"{self.name}v{node}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
