"""What the addresses of the server give."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from nas.analysis.results import Results
from nas.page.arrays import decode
from nas.study.layout import write_error


def test_the_page_loads_three_files_of_this_server(server: Any) -> None:
    page = server.get("/")
    text = page.body.decode()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    names = [part.partition('"')[0] for part in text.split('"/static/')[1:]]
    assert [name.partition("-")[0] for name in names] == ["page", "plotly", "page"]
    assert text.count("<script") == text.count("<script defer src=") == 1
    contents = {name: server.get(f"/static/{name}") for name in names}
    assert contents[names[1]].body.decode() == get_plotlyjs()
    assert {answer.headers["content-type"] for answer in contents.values()} == {
        "text/javascript; charset=utf-8",
        "text/css; charset=utf-8",
    }


def test_a_static_file_is_compressed_and_kept_for_ever(server: Any) -> None:
    name = server.get("/").body.decode().partition('src="')[2].partition('"')[0]
    plain, short = server.get(name), server.get(name, accept_encoding="br;q=1, gzip;q=0.8")
    assert plain.body == short.body
    assert short.headers["content-encoding"] == "gzip"
    assert int(short.headers["content-length"]) < len(plain.body) / 3
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in server.get(name, accept_encoding="gzip;q=0").headers
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = server.get(name, if_none_match=plain.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert server.get(name, if_none_match='"other"').status == 200


def test_the_list_says_what_each_study_has_reached(server: Any, digits_study: Path) -> None:
    listed = server.wait_for(
        "/api/studies", lambda data: all(entry["state"] != "reading" for entry in data["studies"])
    )["studies"]
    digits, empty = listed
    results = Results.load(digits_study)
    assert digits["name"] == "digits"
    assert digits["folder"] == str(digits_study)
    assert digits["state"] == "interrupted"  # trial 36 runs, and no search does
    assert digits["complete"] == len(results.complete)
    assert digits["front"] == len(results.front)
    assert digits["hypervolume"] == pytest.approx(results.hypervolume, abs=1e-4)
    assert results.best is not None
    assert digits["best"] == {
        "trial": int(results.best["trial"]),
        "label": "validation accuracy",
        "text": f"{results.best['accuracy']:.4f}",
    }
    assert len(digits["sparkline"]) == 40
    assert digits["sparkline"] == sorted(digits["sparkline"])
    assert digits["sparkline"][-1] == digits["hypervolume"]
    assert (empty["state"], empty["trials"], empty["best"], empty["sparkline"]) == ("empty", 0, None, [])


def test_a_study_is_its_document(server: Any, digits_study: Path) -> None:
    answer = server.get(f"/api/studies/{server.keys['digits']}")
    study, results = answer.json, Results.load(digits_study)
    assert (study["live"], study["writable"], study["searching"]) == (True, True, False)
    assert (study["cursor"], study["count"]) == ("37;36", 37)
    macs = decode(study["columns"]["macs"])
    assert np.array_equal(macs, results.trials["macs"].to_numpy(), equal_nan=True)
    short = server.get(f"/api/studies/{server.keys['digits']}", accept_encoding="gzip")
    assert short.headers["content-encoding"] == "gzip"
    assert short.json == study
    assert answer.headers["cache-control"] == "no-store"


def test_a_trial_in_detail(server: Any, architecture: Callable[[int], Any]) -> None:
    detail = server.get(f"/api/studies/{server.keys['digits']}/trials/4").json
    assert detail["number"] == 4
    assert detail["architecture"] == architecture(4)


def test_the_traceback_of_a_failed_trial(tmp_path: Path, digits_study: Path, run_server: Callable[..., Any]) -> None:
    shutil.copytree(digits_study, tmp_path / "digits")
    text = "Traceback\n" + "é" * 800_000 + "\nOutOfMemoryError: <b>"
    write_error(tmp_path / "digits" / "trials" / "00005", text)
    with run_server(tmp_path) as server:
        path = f"/api/studies/{server.keys['digits']}/trials"
        found = server.get(f"{path}/5/error").json["text"]
        assert found.endswith("OutOfMemoryError: <b>")
        assert len(found.encode()) <= 1_000_003  # half a character at the cut becomes a whole one
        missing = server.get(f"{path}/4/error")
        assert missing.status == 404
        assert "Trial 4" in missing.error
        assert str(tmp_path) not in missing.error


def test_a_study_appears_and_another_is_removed(
    tmp_path: Path, digits_study: Path, empty_study: Path, run_server: Callable[..., Any]
) -> None:
    shutil.copytree(digits_study, tmp_path / "a" / "first")
    with run_server(tmp_path) as server:
        assert list(server.keys) == ["first"]
        shutil.copytree(empty_study, tmp_path / "a" / "b" / "second")
        server.wait_for("/api/studies", lambda data: len(data["studies"]) == 2)
        key = server.keys["first"]
        shutil.rmtree(tmp_path / "a" / "first")
        server.wait_for("/api/studies", lambda data: [s["name"] for s in data["studies"]] == ["nothing yet"])
        assert server.get(f"/api/studies/{key}").status == 404


def test_the_key_of_a_study_stays_and_tells_two_of_a_name_apart(
    tmp_path: Path, digits_study: Path, run_server: Callable[..., Any]
) -> None:
    for name in ("a/Run #1", "b/Run #1", "c/ünï"):
        shutil.copytree(digits_study, tmp_path / name)
    with run_server(tmp_path) as server:
        keys = [entry["key"] for entry in server.get("/api/studies").json["studies"]]
        assert len(set(keys)) == 3
        assert all(key.replace("-", "").isalnum() and key.isascii() for key in keys)
        assert server.get(f"/api/studies/{keys[2]}").status == 200
    with run_server(tmp_path / "b") as again:
        assert again.get("/api/studies").json["studies"][0]["key"] == keys[1]


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_study_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, digits_study: Path, run_server: Callable[..., Any], content: bytes
) -> None:
    shutil.copytree(digits_study, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "study.db").write_bytes(content)
    with run_server(tmp_path) as server:
        listed = server.wait_for("/api/studies", lambda data: data["studies"][0]["state"] == "unreadable")["studies"]
        assert "bad/study.db" in listed[0]["problem"]
        assert server.get(f"/api/studies/{listed[1]['key']}").json["count"] == 37
        refused = server.get(f"/api/studies/{listed[0]['key']}")
        assert (refused.status, refused.error) == (503, listed[0]["problem"])
    assert (tmp_path / "bad" / "study.db").read_bytes() == content


def test_studies_of_a_storage(tmp_path: Path, digits_study: Path, run_server: Callable[..., Any]) -> None:
    shutil.copy(digits_study / "study.db", tmp_path / "all.db")
    with run_server(storages=(f"sqlite:///{tmp_path}/all.db",)) as server:
        (entry,) = server.wait_for("/api/studies", lambda data: data["studies"][0]["state"] != "reading")["studies"]
        assert (entry["name"], entry["trials"], entry["state"]) == ("digits", 30, "searching")
        study = server.get(f"/api/studies/{entry['key']}").json
        assert (study["count"], study["folder"]) == (37, None)
        assert server.get(f"/api/studies/{entry['key']}/trials/4").json["number"] == 4
        assert server.get(f"/api/studies/{entry['key']}/trials/5/error").status == 404


def test_reading_leaves_the_folder_as_it_is(tmp_path: Path, digits_study: Path, run_server: Callable[..., Any]) -> None:
    (tmp_path / "digits").mkdir()
    shutil.copy(digits_study / "study.db", tmp_path / "digits")  # alone: another test may have the study open
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "digits").rglob("*")}
    with (
        run_server(tmp_path) as server,
        server.stream(f"/api/studies/{server.keys['digits']}/events?cursor=0;") as stream,
    ):
        stream.wait_for("changes")
        server.get(f"/api/studies/{server.keys['digits']}/trials/4")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "digits").rglob("*")}
    assert {p: t for p, t in after.items() if p in before} == before
    assert json.dumps(sorted(path.name for path in after.keys() - before.keys())) == "[]"


def test_a_study_that_nobody_looks_at_is_forgotten_but_for_its_summary(
    tmp_path: Path, digits_study: Path, run_server: Callable[..., Any], tell_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        shutil.copytree(digits_study, tmp_path / name)
    with run_server(tmp_path) as server:
        key = server.keys["a"]
        assert server.get(f"/api/studies/{key}").json["count"] == 37
        monkeypatch.setattr("nas.dashboard.hub.RELEASE_AFTER_S", 0.0)
        channel = server.hub.channels[key]
        deadline = time.monotonic() + 20
        while channel.feed.stamp[1] >= 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert channel.feed.stamp[1] == -1
        assert server.get("/api/studies").json["studies"][0]["complete"] == 24
        assert server.get(f"/api/studies/{key}/trials/4").json["number"] == 4  # it is read again
        tell_trial(tmp_path / "a", [0.9999, 1e4, 1e6])
        server.wait_for("/api/studies", lambda data: data["studies"][0]["complete"] == 25)
