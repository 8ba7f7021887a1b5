"""A real server in a thread of this process, and a client that sends exactly what a test says."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nas.dashboard.addresses import Address, open_socket
from nas.dashboard.hub import Hub
from nas.dashboard.server import DashboardServer, create_server
from nas.study.database.storage import open_study

TIMEOUT_S = 20


@dataclass(frozen=True)
class Answer:
    """The answer to a request: its body is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error."""
        assert self.headers["content-type"] == "application/json"
        (text,) = self.json.values()
        assert list(self.json) == ["error"]
        return str(text)


@dataclass
class Stream:
    """An open stream of server-sent events."""

    response: http.client.HTTPResponse
    ids: list[str] = field(default_factory=list)

    def next(self) -> tuple[str, Any]:
        """The type and the data of the next event; comments are left out."""
        name, data = "", ""
        while True:
            raw = self.response.readline()
            assert raw, "the server ended the stream"
            line = raw.decode().rstrip("\n")
            if line.startswith("id: "):
                self.ids.append(line[4:])
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and name:
                return name, json.loads(data)

    def wait_for(self, wanted: str, holds: Callable[[Any], bool] = lambda _: True) -> Any:
        """The data of the next event of the type `wanted` for which `holds` is true."""
        while True:
            name, data = self.next()
            if name == wanted and holds(data):
                return data


@dataclass(frozen=True)
class RunningServer:
    """A server that runs, and the requests of tests to it."""

    address: Address
    server: DashboardServer
    hub: Hub

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.address.port}"

    @property
    def own_origin(self) -> dict[str, str]:
        """Headers of a request that writes."""
        return {"origin": f"http://{self.host}", "content-type": "application/json"}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=TIMEOUT_S)

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request; `headers` replace those that the client would send."""
        connection = self.connect()
        given = {name.lower(): value for name, value in (headers or {}).items()}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"host": self.host, **given}.items():
            connection.putheader(name, value)
        if body is not None and "content-length" not in given:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        if names.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        return Answer(response.status, names, content)

    def get(self, path: str, **headers: str) -> Answer:
        """Get `path`; underscores in the names of `headers` are hyphens."""
        return self.request("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def put(self, path: str, data: Any) -> Answer:
        """Write `data` as JSON, as the page does."""
        return self.request("PUT", path, self.own_origin, json.dumps(data).encode())

    @property
    def keys(self) -> dict[str, str]:
        """Name of the folder -> key, of the studies of the server."""
        listed = self.get("/api/studies").json["studies"]
        return {Path(entry["folder"]).name: entry["key"] for entry in listed}

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[Stream]:
        """A stream of events at `path`."""
        connection = self.connect()
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        assert (response.status, response.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
        try:
            yield Stream(response)
        finally:
            response.close()
            connection.close()

    def wait_for(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """The JSON at `path` as soon as `holds` is true of it."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            data = self.get(path).json
            if holds(data):
                return data
            assert time.monotonic() < deadline, data
            time.sleep(0.05)


@contextmanager
def running(
    *folders: Path, port: int = 0, token: str | None = None, storages: tuple[str, ...] = ()
) -> Iterator[RunningServer]:
    """A server of the studies in `folders`."""
    listening, address = open_socket("127.0.0.1", port)
    hub = Hub(folders, storages)
    server = create_server(hub, address, token)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield RunningServer(address, server, hub)
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        listening.close()
        assert not thread.is_alive(), "the server did not end"


@pytest.fixture(scope="session")
def run_server() -> Callable[..., Any]:
    """`running`."""
    return running


@pytest.fixture(scope="module")
def server(digits_study: Path, empty_study: Path) -> Iterator[RunningServer]:
    """A server of the studies `digits` (36 trials and one that runs) and `empty`; tests only read."""
    with running(digits_study, empty_study) as started:
        yield started


def tell(folder: Path, values: list[float] | None = None, **attributes: Any) -> int:
    """Add a complete trial to the study in `folder`, as a search does; without `values` it stays running. Returns its number."""
    study = open_study(folder)
    trial = study.ask()
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
    if values is not None:
        study.tell(trial, values)
    return int(trial.number)


@pytest.fixture(scope="session")
def tell_trial() -> Callable[..., int]:
    """`tell`."""
    return tell
