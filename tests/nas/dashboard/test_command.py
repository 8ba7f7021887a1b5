"""`nas dashboard`: what it prints and how it ends, as a process; and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = ("torch", "ray", "timm", "scipy", "sklearn", "plotly")


@contextmanager
def dashboard(*words: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`nas dashboard` as a process in a group of its own, and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nas", "dashboard", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, line.removeprefix("dashboard: ").rstrip()
    finally:
        process.kill()
        process.communicate()


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as response:
        return bytes(response.read())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_it_at_once_although_browsers_listen(
    digits_study: Path, number: signal.Signals, code: int
) -> None:
    with dashboard(digits_study, "--port", 0) as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        fetch(f"{url}api/studies")
        streams = [urllib.request.urlopen(f"{url}api/studies/events", timeout=20) for _ in range(3)]
        assert all(stream.readline() for stream in streams)
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
        assert (process.returncode, out, errors) == (code, "", "")
        for stream in streams:
            stream.close()


def test_a_signal_during_the_start_is_no_traceback(digits_study: Path) -> None:
    with dashboard(digits_study, "--port", 0) as (process, _):
        process.send_signal(signal.SIGINT)  # it has said where it is, and loads the server
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (130, "")


def test_a_port_in_use_is_named_with_a_free_one(nas: Run, digits_study: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = nas("dashboard", digits_study, "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    pattern = rf"nas: error: --port {port}: is in use by another program; --port (\d+) is free, and --port 0 picks a free port\n"
    found = re.fullmatch(pattern, done.stderr)
    assert found is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", int(found[1])))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "DIR: name the folder of a study, or a folder with studies, or a storage with --storage URL"),
        (["none"], "none: no such folder"),
        ([__file__], f"{__file__}: a file; name the folder that it is in"),
        ([".", "--host", "10.255.255.1"], "--host: must be an address of this machine, found '10.255.255.1'"),
        (
            [".", "--host", "no.such.host.invalid"],
            "--host: must be a name or an IP address of this machine, found 'no.such.host.invalid'",
        ),
        ([".", "--host", ""], "--host: must be a name or an IP address of this machine, found ''"),
        (["--storage", "nonsense"], "storage: must be a URL such as"),
        (["--storage", "sqlite:////no/such/file.db"], "/no/such: holds no study (file.db is missing)"),
    ],
)
def test_wrong_use_is_one_line(nas: Run, words: list[str], text: str) -> None:
    done = nas("dashboard", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"nas: error: {text}")
    assert done.stderr.count("\n") == 1


def test_a_password_is_not_shown(nas: Run) -> None:
    done = nas("dashboard", "--storage", "postgresql://user:secret@127.0.0.1:1/db")
    assert done.returncode == 2
    assert "secret" not in done.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_is_a_number(nas: Run, port: str) -> None:
    done = nas("dashboard", ".", "--port", port)
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_another_host_needs_the_token_that_is_printed(digits_study: Path) -> None:
    with dashboard(digits_study, "--host", "0.0.0.0", "--port", 0) as (process, url):
        address, token = re.fullmatch(r"http://[^/:]+(:\d+/)\?token=([\w-]{32})", url).groups()  # type: ignore[union-attr]
        assert process.stderr is not None
        assert process.stderr.readline().startswith("nas: other machines can reach")
        page = fetch(f"http://127.0.0.1{address}?token={token}")
        assert b"<div id=" in page
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(f"http://127.0.0.1{address}")


def test_a_folder_without_studies_says_so_and_waits(tmp_path: Path) -> None:
    with dashboard(tmp_path, "--port", 0) as (process, url):
        assert process.stderr is not None
        assert (
            process.stderr.readline()
            == f"nas: {tmp_path}: holds no study yet; one that starts in it or below it is shown\n"
        )
        assert fetch(f"{url}api/studies") == b'{"studies":[]}'


def test_the_page_is_opened_in_the_browser_of_the_user(tmp_path: Path, digits_study: Path) -> None:
    opener = tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.new && mv {tmp_path}/opened.new {tmp_path}/opened\n')
    opener.chmod(0o755)
    with dashboard(digits_study, "--port", 0, "--open", BROWSER=f"{opener} %s") as (_, url):
        deadline = time.monotonic() + 20
        while not (tmp_path / "opened").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (tmp_path / "opened").read_text().strip() == url


def test_nothing_heavy_is_imported() -> None:
    code = f"import sys, nas.dashboard.server; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
