"""Notes and pins, the only things that the server writes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.study.database.storage import read_study


@pytest.fixture
def study(tmp_path: Path, digits_study: Path) -> Path:
    """A study that the test may change."""
    return Path(shutil.copytree(digits_study, tmp_path / "digits"))


def test_a_note_is_stored_and_all_browsers_hear_of_it(study: Path, run_server: Any) -> None:
    text = "<script>alert(1)</script> & \x00 ünï\n" + "x" * 9_000
    with run_server(study) as server:
        path = f"/api/studies/{server.keys['digits']}"
        with (
            server.stream(f"{path}/events?cursor=37;36") as first,
            server.stream(f"{path}/events?cursor=37;36") as second,
        ):
            for stream in (first, second):
                assert stream.wait_for("changes")["notes"] == {}
            assert server.put(f"{path}/trials/4/note", {"text": text}).json == {"saved": True}
            for stream in (first, second):
                change = stream.wait_for("changes")
                assert change["notes"] == {"4": text}
                assert "rows" not in change
            assert server.get(path).json["notes"] == {"4": text}
            assert server.put(f"{path}/trials/4/note", {"text": " "}).status == 200
            assert first.wait_for("changes")["notes"] == {}
    assert read_study(study).user_attrs["notes"] == {}


def test_a_pin_is_stored(study: Path, run_server: Any) -> None:
    with run_server(study) as server:
        path = f"/api/studies/{server.keys['digits']}"
        for number in (4, 36, 4):
            assert server.put(f"{path}/trials/{number}/pin", {"pinned": True}).status == 200
        assert server.get(path).json["pins"] == [4, 36]
        assert server.put(f"{path}/trials/4/pin", {"pinned": False}).status == 200
        assert server.get(path).json["pins"] == [36]
        assert server.put(f"{path}/trials/37/pin", {"pinned": True}).status == 404
        for wrong in ({}, {"pinned": 1}, {"pinned": "true"}, {"pinned": None}):
            assert server.put(f"{path}/trials/4/pin", wrong).status == 400


def test_too_many_pins_are_refused(study: Path, run_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.study.annotations.MAX_PINS", 2)
    with run_server(study) as server:
        path = f"/api/studies/{server.keys['digits']}/trials"
        assert [server.put(f"{path}/{number}/pin", {"pinned": True}).status for number in (1, 2, 3)] == [200, 200, 400]
        assert "at most 2 trials" in server.put(f"{path}/3/pin", {"pinned": True}).error


def test_a_read_only_study_says_so(study: Path, run_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (study / "study.db").read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode, **_: mode != os.W_OK)  # root may write anywhere
    with run_server(study) as server:
        path = f"/api/studies/{server.keys['digits']}"
        assert server.get(path).json["writable"] is False
        refused = server.put(f"{path}/trials/4/note", {"text": "x"})
        assert refused.status == 403
        assert f"{study}: is read-only" in refused.error
    assert (study / "study.db").read_bytes() == content
