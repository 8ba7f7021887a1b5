"""The report as a file: complete, self-contained, safe against texts that users and failures write into a study."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from plotly.offline import get_plotlyjs

from nas.errors import UsageError
from nas.report import render, write
from nas.study.content import StudySnapshot

HOSTILE = "</script><img src=http://evil.test/x onerror=alert(1)>&amp;"


class Reader(HTMLParser):
    """The elements of a page with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)


def data_of(text: str) -> dict[str, Any]:
    """The JSON embedded in a page."""
    reader = Reader(text)
    scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
    (index,) = [index for index, attributes in enumerate(scripts) if attributes.get("id") == "data"]
    data: dict[str, Any] = json.loads(reader.scripts[index])
    return data


@pytest.fixture(scope="module")
def text(digits_study: Path) -> str:
    return render(StudySnapshot.of(digits_study))


@pytest.fixture
def hostile_study(tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Any) -> Path:
    dataset = {"name": HOSTILE, "class_names": [HOSTILE, "b"], "num_classes": 2, "image_size": [8, 8], "in_chans": 1}
    plain = architecture(0)
    plain["stages"][0]["mixer"] = {"name": HOSTILE, "option": HOSTILE}
    trials = [
        stored_trial([0.5, 10.0, 1.0], None, {"architecture": plain, "device": HOSTILE}),
        stored_trial(None, TrialState.FAIL, {"architecture": plain, "failure": HOSTILE}),
    ]
    return study_writer(tmp_path, trials, name=HOSTILE, dataset=dataset)


def test_nothing_is_loaded_from_anywhere(text: str) -> None:
    reader = Reader(text)
    loading = [
        (tag, attributes[key])
        for tag, attributes in reader.elements
        for key in ("src", "href", "srcset", "data")
        if key in attributes
    ]
    assert loading == [("link", "data:,")]  # no icon is asked for
    own = text.replace(get_plotlyjs(), "")
    assert set(re.findall(r"https?://[^\s\"')]+", own)) == {"http://www.w3.org/2000/svg"}  # the name of a namespace
    assert "@import" not in own
    assert "url(" not in own


def test_the_policy_allows_its_own_scripts_alone(text: str) -> None:
    reader = Reader(text)
    policy = next(a["content"] for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    scripts = re.search(r"script-src (.*)$", policy)
    assert scripts is not None
    data, *executed = reader.scripts
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in executed]
    assert scripts[1].split() == [f"'sha256-{digest}'" for digest in digests]
    assert json.loads(data)["documents"]


def test_plotly_is_included_once(text: str) -> None:
    assert text.count(get_plotlyjs()) == 1
    assert [len(script) > 1_000_000 for script in Reader(text).scripts] == [False, True, False]


def test_the_page_has_the_study_its_details_and_its_findings(
    text: str, digits_study: Path, report_document: Any
) -> None:
    document = report_document(text)
    assert document["count"] == 37
    assert not document["live"]
    assert len(data_of(text)["details"]["study"]["chunks"]) == 1
    assert {finding["key"] for finding in document["analysis"]["health"]} >= {"failed", "refused"}
    assert document["analysis"]["warnings"] == []


def test_markup_stays_text(hostile_study: Path, report_document: Any) -> None:
    text = render(StudySnapshot.of(hostile_study))
    reader = Reader(text)
    assert "img" not in {tag for tag, _ in reader.elements}
    assert len(reader.scripts) == 3
    assert html.escape(HOSTILE) in text  # the title
    document = report_document(text)
    fields = {field["key"]: field for field in document["fields"]}
    assert document["name"] == HOSTILE
    assert fields["failure"]["codes"] == [HOSTILE]


def test_a_study_without_trials_has_a_page(empty_study: Path, report_document: Any) -> None:
    assert report_document(render(StudySnapshot.of(empty_study)))["count"] == 0


def test_write_is_atomic_and_creates_the_folder(
    digits_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a folder" / "front.html"
    assert write(digits_study, out) == out
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    before = out.read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(digits_study, out)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["front.html"]  # no temporary file is left


def test_write_uses_the_folder_of_the_study_by_default(empty_study: Path) -> None:
    assert write(empty_study) == empty_study / "report.html"


def test_a_folder_instead_of_a_file_is_refused(digits_study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name the HTML file"):
        write(digits_study, tmp_path)


def test_what_is_no_file_is_not_replaced(tmp_path: Path, digits_study: Path) -> None:
    pipe = tmp_path / "pipe.html"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="must be a file, found a device, a pipe or a socket"):
        write(digits_study, pipe)
    assert pipe.is_fifo()


def test_the_progress_ends_with_the_last_trial(tmp_path: Path, digits_study: Path) -> None:
    calls: list[tuple[int, int]] = []
    write(digits_study, tmp_path / "report.html", lambda done, total: calls.append((done, total)))
    count = len(StudySnapshot.of(digits_study).trials)
    assert calls[-1] == (count, count)
