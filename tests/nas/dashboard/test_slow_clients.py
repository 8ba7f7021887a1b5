"""Clients that send no whole request or read no answer: they are closed, and the server goes on serving others."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

HEAD = (
    "PUT /api/studies/{key}/trials/4/note HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
    "Content-Type: application/json\r\n"
)
BEGINNINGS = {
    "nothing": "",
    "part of a line": "GET /",
    "part of a head": "GET / HTTP/1.1\r\nHost: {host}\r\nX: ",
    "a second request": "GET /api/none HTTP/1.1\r\nHost: {host}\r\n\r\nGET /",
    "part of a body": HEAD + 'Content-Length: 9000\r\n\r\n{{"text": ',
    "a body of pieces without end": HEAD + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits for half a second, and for few clients."""
    monkeypatch.setattr("nas.dashboard.connections.MAX_WAIT_S", 0.5)
    monkeypatch.setattr("nas.dashboard.connections.MAX_CONNECTIONS", 60)
    monkeypatch.setattr("nas.dashboard.writing.MAX_BODY_WAIT_S", 0.5)
    monkeypatch.setattr("nas.dashboard.responses.LINGER_S", 0.5)


def connections(server: Any, beginning: str, stack: ExitStack, count: int) -> Iterator[socket.socket]:
    """Connections on which only the `beginning` of a request is sent."""
    content = beginning.format(host=server.host, key=server.keys["digits"]).encode()
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.address.port), timeout=20))
        connection.sendall(content)
        yield connection


def received(connection: socket.socket) -> bytes:
    """What the server sends until it ends the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_client_that_does_not_go_on_is_closed(server: Any, impatient: None, kind: str) -> None:
    with ExitStack() as stack:
        (connection,) = connections(server, BEGINNINGS[kind], stack, 1)
        assert server.get("/api/studies").status == 200
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ") == ("body" in kind)
    assert answer.startswith(b"HTTP/1.1 404 ") == (kind == "a second request")
    assert bool(answer) == ("body" in kind or kind == "a second request")


def test_many_clients_that_send_nothing_leave_room_for_others(
    server: Any, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.dashboard.connections.MAX_WAIT_S", 60)
    with ExitStack() as stack, server.stream("/api/studies/events") as stream:
        opened = list(connections(server, "GET /", stack, 200))
        assert server.get("/api/studies").status == 200
        assert stream.wait_for("studies") is not None  # a request that is being answered is not ended
        closed = 0
        for connection in opened:
            connection.settimeout(0)
            try:
                closed += connection.recv(1) == b""
            except (BlockingIOError, ConnectionResetError) as error:
                closed += isinstance(error, ConnectionResetError)
    assert closed >= 140


def test_a_client_that_does_not_read_is_closed_at_the_end(digits_study: Any, run_server: Any) -> None:
    with run_server(digits_study) as server:
        script = next(part for part in server.get("/").body.decode().split('"') if part.startswith("/static/plotly"))
        size = len(server.get(script).body)
        connection = socket.create_connection(("127.0.0.1", server.address.port), timeout=20)
        connection.sendall(f"GET {script} HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode() * 4)
        assert connection.recv(9) == b"HTTP/1.1 "
    gc.collect()  # a connection that was left open would be warned of, and closed only now
    with connection:
        assert len(received(connection)) < 4 * size
