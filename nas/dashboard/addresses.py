"""Where the server listens: its socket, its address in a browser, and the names under which it may be asked."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from nas.errors import UsageError

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Of this machine, as they stand in a URL."""
PORTS_TO_TRY = 50
"""Number of ports after one in use that are tried, so that the error can name a free one."""
DEFAULT_HTTP_PORT = 80


@dataclass(frozen=True)
class Address:
    """An address of the server.

    Args:
        host: the host as the user gave it: a name, or an address without brackets.
        port: the port that it listens on.
        is_loopback: True if only this machine can reach it.
        is_wildcard: True if it listens on every address of the machine.
    """

    host: str
    port: int
    is_loopback: bool
    is_wildcard: bool

    @property
    def url(self) -> str:
        """The address for a browser, `http://HOST:PORT/`; a wildcard has the name of the machine."""
        host = socket.gethostname() if self.is_wildcard else url_host(self.host)
        return f"http://{host}:{self.port}/"

    @property
    def host_names(self) -> frozenset[str]:
        """The values of the header `Host` that name this server, in lower case, with the port."""
        names = {*LOOPBACK_NAMES, url_host(self.host)}
        if self.is_wildcard:
            names |= {socket.gethostname()}
        with_port = {f"{name}:{self.port}".lower() for name in names}
        return frozenset(with_port | ({name.lower() for name in names} if self.port == DEFAULT_HTTP_PORT else set()))

    def is_own(self, host: str) -> bool:
        """True if the header `Host`, `host`, names this server.

        A page of another site can make its own name lead to this machine (DNS rebinding), but not an IP address: a server on
        every address takes all of them, and the name of the machine with any domain; there, the token protects it.
        """
        name, _, number = host.lower().rpartition(":")
        if host.lower() in self.host_names or not self.is_wildcard or number != str(self.port):
            return host.lower() in self.host_names
        return _is_ip_address(name) or name.startswith(f"{socket.gethostname().lower()}.")


def url_host(host: str) -> str:
    """`host` as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def open_socket(host: str, port: int) -> tuple[socket.socket, Address]:
    """Listen on `port` of `host`; connections wait until the server takes them.

    Args:
        host: a name or an IP address of this machine.
        port: 0 for any free port.

    Raises:
        UsageError: the port is in use or not allowed, or the host is none of this machine.
    """
    family, place = _resolve(host, port)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended keeps no port
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise UsageError(_bind_error(host, port, family, error)) from None
    listening.setblocking(False)
    bound = ipaddress.ip_address(listening.getsockname()[0].partition("%")[0])
    return listening, Address(host, listening.getsockname()[1], bound.is_loopback, bound.is_unspecified)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """The family and the address of `host`, IPv4 where it has both."""
    try:
        if not host.strip():
            raise UnicodeError
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise UsageError(f"--host: must be a name or an IP address of this machine, found {host!r}") from None
    family, _, _, _, place = min(infos, key=lambda info: info[0] != socket.AF_INET)
    return family, place


def _bind_error(host: str, port: int, family: socket.AddressFamily, error: OSError) -> str:
    """What is wrong with a port or a host, and what to do."""
    match error.errno:
        case errno.EADDRINUSE:
            free = next(_free_ports(host, port, family), None)
            hint = "" if free is None else f"--port {free} is free, and "
            return f"--port {port}: is in use by another program; {hint}--port 0 picks a free port"
        case errno.EACCES:
            return f"--port {port}: this user may not listen on it; ports from 1024 on are free for all, such as 8080"
        case errno.EADDRNOTAVAIL:
            return f"--host: must be an address of this machine, found {host!r}"
        case _:
            return f"--host {host} --port {port}: cannot listen there: {error.strerror or error}"


def _free_ports(host: str, port: int, family: socket.AddressFamily) -> Iterator[int]:
    """The free ports among those after `port`."""
    for candidate in range(port + 1, min(port + 1 + PORTS_TO_TRY, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, candidate))
            except OSError:
                continue
        yield candidate
