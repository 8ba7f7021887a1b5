"""What a server on a user's machine has to refuse, each from a real connection."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from nas.dashboard.addresses import Address
from nas.dashboard.security import POLICY

TOKEN = "a-token-of-the-test"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "",
        "[::2]:{port}",
        "é:{port}",
    ],
)
def test_a_request_to_another_name_is_refused(server: Any, host: str) -> None:
    answer = server.request("GET", "/api/studies", {"host": host.format(port=server.address.port)})
    assert answer.status == 421
    assert f"127.0.0.1:{server.address.port}" in answer.error


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_the_names_of_this_machine_are_taken(server: Any, host: str) -> None:
    assert server.request("GET", "/", {"host": host.format(port=server.address.port)}).status == 200


def test_a_server_on_all_addresses_takes_addresses_and_its_own_name_only() -> None:
    address = Address("0.0.0.0", 8080, is_loopback=False, is_wildcard=True)
    for host in (
        "10.0.0.5:8080",
        "[2001:db8::1]:8080",
        "localhost:8080",
        f"{socket.gethostname()}:8080",
        f"{socket.gethostname()}.lan:8080",
    ):
        assert address.is_own(host)
    for host in (
        "evil.example:8080",
        "10.0.0.5:81",
        "10.0.0.5",
        "10.0.0.5.evil.example:8080",
        f"evil-{socket.gethostname()}:8080",
        "",
    ):
        assert not address.is_own(host)


def test_the_address_of_the_default_port_has_none() -> None:
    assert Address("127.0.0.1", 80, is_loopback=True, is_wildcard=False).is_own("localhost")


@pytest.fixture(scope="module")
def guarded(digits_study: Path, run_server: Callable[..., Any]) -> Iterator[Any]:
    """A server with a token."""
    with run_server(digits_study, token=TOKEN) as started:
        yield started


@pytest.mark.parametrize("path", ["/", "/api/studies", "/api/studies/events", "/static/x.js", "/none"])
@pytest.mark.parametrize("given", ["", "?token=", "?token=wrong", "?token=a-token-of-the-tesu", "?token=%ff%00"])
def test_nothing_is_answered_without_the_token(guarded: Any, path: str, given: str) -> None:
    answer = guarded.get(path + given)
    assert answer.status == 401
    assert "token" in answer.error
    assert "set-cookie" not in answer.headers
    assert TOKEN not in answer.body.decode()


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(guarded: Any) -> None:
    first = guarded.get(f"/?token={TOKEN}")
    name = f"mixfront_{guarded.address.port}"
    assert first.status == 200
    assert first.headers["set-cookie"] == f"{name}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert guarded.get("/api/studies", cookie=f"other=1; {name}={TOKEN}").status == 200
    assert guarded.get("/api/studies", cookie=f"{name}=wrong").status == 401
    assert "set-cookie" not in guarded.get("/api/studies", cookie=f"{name}={TOKEN}").headers


@pytest.mark.parametrize(
    "path", ["/", "/api/studies", "/none", "/static/none.js", "/api/studies/none", "/api/studies/events"]
)
def test_every_answer_forbids_what_the_page_does_not_need(server: Any, path: str) -> None:
    with server.stream(path) if path.endswith("events") else _opened(server, path) as opened:
        headers = {name.lower(): value for name, value in opened.response.getheaders()}
    assert headers["content-security-policy"] == POLICY
    assert "unsafe-eval" not in POLICY
    assert "script-src 'self';" in POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


class _opened:
    """A plain request as a context manager, beside `RunningServer.stream`."""

    def __init__(self, server: Any, path: str) -> None:
        self._connection = server.connect()
        self._connection.request("GET", path)
        self.response = self._connection.getresponse()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.read()
        self._connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/static/../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2fetc%2fpasswd",
        "/static/..%5c..%5cetc",
        "/static//etc/passwd",
        "/static/page.js",
        "/static/%00",
        "/api/studies/%00",
        "/api/studies/..%2f..",
        "/api/studies/../../etc",
        "/api/studies/" + "x" * 5_000,
        "/api/studies/none/trials/0",
        "//evil.example/",
        "/api/studies/",
        "http://evil.example/api/studies",
    ],
)
def test_a_path_that_is_none_of_the_table_gives_404(server: Any, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert answer.error
    assert "location" not in answer.headers


def test_a_request_line_of_100_kilobytes_is_refused(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.address.port), timeout=10) as connection:
        connection.sendall(b"GET /" + b"x" * 100_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert server.get("/api/studies").status == 200


@pytest.mark.parametrize("number", ["-1", "37", "1e3", "0x1", "٣", "999999999999", "1.0", "best"])
def test_a_trial_that_is_none_gives_404(server: Any, number: str) -> None:
    answer = server.get(f"/api/studies/{server.keys['digits']}/trials/{quote(number)}")
    assert answer.status == 404
    assert answer.error


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/studies"), ("DELETE", "/"), ("PUT", "/api/studies/x"), ("OPTIONS", "/api/studies")],
)
def test_other_methods_are_refused(server: Any, method: str, path: str) -> None:
    answer = server.request(method, path, server.own_origin, b"{}")
    assert answer.status == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]
    assert method in answer.error


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://{host}.evil.example"},
        {"origin": "http://evil.example@{host}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "http://{host}"},
        {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    ],
)
def test_pages_of_other_sites_may_not_write(server: Any, headers: dict[str, str]) -> None:
    given = {name: value.format(host=server.host) for name, value in headers.items()}
    path = f"/api/studies/{server.keys['digits']}/trials/0/note"
    answer = server.request("PUT", path, {"content-type": "application/json", **given}, b'{"text": "x"}')
    assert answer.status == 403
    assert "Origin" in answer.error or "Sec-Fetch-Site" in answer.error


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_refused(server: Any, kind: str) -> None:
    path = f"/api/studies/{server.keys['digits']}/trials/0/note"
    answer = server.request("PUT", path, server.own_origin | {"content-type": kind}, b'{"text": "x"}')
    assert answer.status == 415
    assert "application/json" in answer.error


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[1]", 400),
        (b"[" * 60_000, 400),
        (b"{}", 400),
        (b'{"text": 3}', 400),
        (b'{"text": null}', 400),
        (b'{"text": "\\ud800"}', 400),
        (json.dumps({"text": "x" * 10_001}).encode(), 413),
        (json.dumps({"text": "x" * 70_000}).encode(), 413),
    ],
)
def test_a_note_must_be_a_short_text(server: Any, body: bytes, status: int) -> None:
    path = f"/api/studies/{server.keys['digits']}/trials/0/note"
    answer = server.request("PUT", path, server.own_origin, body)
    assert answer.status == status
    assert answer.error


def test_a_body_of_10_megabytes_is_refused_before_it_is_sent(server: Any) -> None:
    path = f"/api/studies/{server.keys['digits']}/trials/0/note"
    started = time.monotonic()
    answer = server.request("PUT", path, server.own_origin | {"content-length": "10000000"}, b"{")
    assert answer.status == 413
    assert "65,536 bytes" in answer.error
    assert time.monotonic() - started < 2


def test_who_sends_10_megabytes_gets_the_answer(server: Any) -> None:
    path = f"/api/studies/{server.keys['digits']}/trials/0/note"
    assert server.request("PUT", path, server.own_origin, b"x" * 10_000_000).status == 413
    connection = server.connect()
    connection.request("PUT", path, iter([b"x" * 100_000] * 20), server.own_origin, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413
    assert "65,536 bytes" in json.loads(response.read())["error"]
    connection.close()
