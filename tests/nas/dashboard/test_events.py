"""Streams of events: what changes arrives soon and once, after a lost connection, too."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from nas.dashboard import background, event_stream
from nas.page.arrays import decode
from nas.study.database.storage import open_study
from nas.study.lock import lock_folder


@pytest.fixture
def study(tmp_path: Path, digits_study: Path) -> Path:
    """A study that the test may change."""
    return Path(shutil.copytree(digits_study, tmp_path / "digits"))


def rows_of(change: dict[str, Any]) -> list[int]:
    return [int(row) for row in decode(change["rows"]["index"])] if "rows" in change else []


def test_a_new_trial_arrives_alone(study: Path, run_server: Any, tell_trial: Any) -> None:
    with (
        run_server(study) as server,
        server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream,
    ):
        stream.wait_for("changes")  # the small parts
        for _ in range(3):
            number = tell_trial(study, [0.99, 1e5, 1e6], macs=1e5, id=f"new {time.monotonic()}")
            changes = [stream.wait_for("changes", lambda data: "rows" in data)]
            while changes[-1]["cursor"] != f"{number + 1};36":  # it was seen before it was told
                changes.append(stream.wait_for("changes", lambda data: "rows" in data))
            assert all(rows_of(change) == [number] for change in changes)
            assert changes[-1]["count"] == number + 1
            assert decode(changes[-1]["rows"]["columns"]["accuracy"]).tolist() == [0.99]
            assert not any("fields" in change for change in changes)
            (added,) = [change["codes"]["id"]["texts"] for change in changes if "id" in change.get("codes", {})]
            assert added[0].startswith("new ")
            assert stream.ids[-1] == changes[-1]["cursor"]


def test_the_cost_of_a_change_does_not_depend_on_the_number_of_trials(
    study: Path, run_server: Any, tell_trial: Any
) -> None:
    with (
        run_server(study) as server,
        server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream,
    ):
        stream.wait_for("changes")
        tell_trial(study, [0.5, 1e7, 1e3], id="dominated")
        change = stream.wait_for("changes", lambda data: "rows" in data)
    assert not {"fields", "meta", "notes", "pins", "name", "references"} & change.keys()


def test_a_trial_that_ends_is_sent_again(study: Path, run_server: Any) -> None:
    with (
        run_server(study) as server,
        server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream,
    ):
        stream.wait_for("changes")
        open_study(study).tell(36, [0.9, 2e6, 3e3])
        change = stream.wait_for("changes", lambda data: "rows" in data)
        assert rows_of(change) == [36]
        assert change["cursor"] == "37;"


@pytest.mark.parametrize("header", [True, False])
def test_a_browser_that_comes_back_to_another_server_misses_nothing(
    study: Path, run_server: Any, tell_trial: Any, header: bool
) -> None:
    with (
        run_server(study) as server,
        server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream,
    ):
        stream.wait_for("changes")
        (last,) = stream.ids
    tell_trial(study, [0.8, 1e5, 1e3])
    open_study(study).tell(36, [0.9, 2e6, 3e3])
    with run_server(study) as server:
        path = f"/api/studies/{server.keys['digits']}/events"
        opened = server.stream(path, last_event_id=last) if header else server.stream(f"{path}?cursor={last}")
        with opened as stream:
            change = stream.wait_for("changes")
    assert set(rows_of(change)) >= {36, 37}
    assert set(rows_of(change)) <= {36, 37, 0, 4}  # 0 and 4 were tested, which may have happened meanwhile
    assert {"fields", "history", "meta", "notes", "pins"} <= change.keys()


@pytest.mark.parametrize("cursor", ["", "x", "999;", "12", "5;9", "-1;", "٣;", "9" * 400])
def test_a_cursor_that_is_none_loads_the_study_again(server: Any, cursor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    with server.stream(f"/api/studies/{server.keys['digits']}/events?cursor={quote(cursor)}") as stream:
        assert stream.next() == ("reload", {})
        assert stream.response.readline() == b": still here\n"  # once


def test_the_start_and_the_end_of_a_search_are_told(study: Path, run_server: Any) -> None:
    with (
        run_server(study) as server,
        server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream,
    ):
        assert stream.wait_for("changes")["searching"] is False
        with lock_folder(study):
            assert stream.wait_for("changes", lambda data: "searching" in data)["searching"] is True
        assert stream.wait_for("changes", lambda data: "searching" in data)["searching"] is False


def test_a_study_that_is_removed_and_comes_back(study: Path, run_server: Any) -> None:
    with run_server(study) as server:
        key = server.keys["digits"]
        with server.stream(f"/api/studies/{key}/events?cursor=37;36") as stream:
            stream.wait_for("changes")
            study.rename(study.with_name("elsewhere"))
            assert str(study) in stream.wait_for("gone")["error"]
            server.wait_for("/api/studies", lambda data: data["studies"][0]["state"] == "gone")
            study.with_name("elsewhere").rename(study)
            stream.wait_for("back")
            assert server.get(f"/api/studies/{key}").json["count"] == 37


def test_another_study_in_the_same_place_is_loaded_anew(study: Path, empty_study: Path, run_server: Any) -> None:
    with run_server(study) as server:
        key = server.keys["digits"]
        with server.stream(f"/api/studies/{key}/events?cursor=37;36") as stream:
            stream.wait_for("changes")
            shutil.copy(empty_study / "study.db", study / "new")
            (study / "new").replace(study / "study.db")
            stream.wait_for("reload")
        loaded = server.get(f"/api/studies/{key}").json
        assert (loaded["name"], loaded["count"]) == ("nothing yet", 0)


def test_a_study_that_cannot_be_read_for_a_while(study: Path, run_server: Any) -> None:
    content = (study / "study.db").read_bytes()
    with (
        run_server(study) as server,
        server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream,
    ):
        stream.wait_for("changes")
        (study / "study.db").write_bytes(b"damaged" * 1000)
        assert "study.db" in stream.wait_for("unreadable")["error"]
        (study / "study.db").write_bytes(content)
        stream.wait_for("back")


def test_streams_share_one_reader_and_one_change(study: Path, run_server: Any, tell_trial: Any) -> None:
    with run_server(study) as server:
        path = f"/api/studies/{server.keys['digits']}/events?cursor=37;36"
        with server.stream(path) as first, server.stream(path) as second:
            assert first.wait_for("changes") == second.wait_for("changes")
            tell_trial(study, [0.8, 1e5, 1e3], id="x")
            change = first.wait_for("changes", lambda data: "rows" in data)
            assert second.wait_for("changes", lambda data: "rows" in data) == change


def test_a_browser_that_does_not_read_is_disconnected(
    study: Path, run_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "SEND_TIMEOUT_S", 0.3)
    with run_server(study) as server, socket.socket() as stalled:
        path = f"/api/studies/{server.keys['digits']}/events?cursor=37;36"
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stalled.connect(("127.0.0.1", server.address.port))
        stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        (channel,) = server.hub.channels.values()
        with server.stream(path) as stream:
            wait_until(lambda: channel.listeners == 2)
            stream.wait_for("changes")
            for number in range(20):  # what the kernel keeps of a connection is a few megabytes
                open_study(study).set_user_attr("notes", {"0": str(number) + "x" * 4_000_000})
                stream.wait_for("changes", lambda data: "notes" in data)
                if channel.listeners == 1:
                    break
            wait_until(lambda: channel.listeners == 1)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until `holds` is true."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_head_of_a_stream_ends(server: Any) -> None:
    answer = server.request("HEAD", f"/api/studies/{server.keys['digits']}/events")
    assert (answer.status, answer.headers["content-type"], answer.body) == (
        200,
        "text/event-stream; charset=utf-8",
        b"",
    )


def test_silence_is_filled_with_comments(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.1)
    with server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream:
        stream.wait_for("changes")
        assert stream.response.readline() == b": still here\n"


def test_the_list_changes_with_its_studies(study: Path, run_server: Callable[..., Any], tell_trial: Any) -> None:
    with run_server(study.parent) as server, server.stream("/api/studies/events") as stream:
        stream.wait_for("studies", lambda data: data["studies"][0]["state"] == "interrupted")
        tell_trial(study, [0.9999, 1e4, 1e6])
        listed = stream.wait_for("studies", lambda data: data["studies"][0]["trials"] == 31)
        assert listed["studies"][0]["best"]["text"] == "0.9999"


def test_nobody_listens_after_the_browser_has_gone(study: Path, run_server: Any) -> None:
    with run_server(study) as server:
        with server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream:
            stream.wait_for("changes")
            (channel,) = server.hub.channels.values()
            assert channel.listeners == 1
        wait_until(lambda: channel.listeners == 0)


def test_findings_come_from_the_background(study: Path, run_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MIN_INTERVAL_S", 0.0)
    monkeypatch.setattr(background, "COST_FACTOR", 0.0)
    with run_server(study) as server:
        path = f"/api/studies/{server.keys['digits']}"
        assert server.get(path).json["analysis"] is None
        with server.stream(f"{path}/events?cursor=37;36") as stream:
            change = stream.wait_for("changes", lambda data: "analysis" in data)
            assert {finding["verdict"] for finding in change["analysis"]["health"]} <= {
                "good",
                "warn",
                "bad",
                "unknown",
            }
            assert "rows" not in change
            open_study(study).tell(36, [0.9, 2e6, 3e3])
            again = stream.wait_for("changes", lambda data: "analysis" in data)
            assert again["analysis"] != change["analysis"]
        assert server.get(path).json["analysis"] == again["analysis"]


def test_an_analysis_that_runs_does_not_hold_up_the_end(study: Path, run_server: Any) -> None:
    with run_server(study) as server:
        with server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=37;36") as stream:
            stream.wait_for("changes")
            time.sleep(0.5)  # the analysis has started, and imports
        ended_s = time.monotonic()
    assert time.monotonic() - ended_s < 10
