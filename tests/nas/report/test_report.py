"""The report as a file: complete, self-contained, safe against texts that users and failures write into a study."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from plotly.offline import get_plotlyjs

from nas.analysis.results import Results
from nas.errors import UsageError
from nas.report import render, write
from nas.report.content import content

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
    return render(Results.load(digits_study))


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
        (tag, key)
        for tag, attributes in reader.elements
        for key in attributes
        if key in ("src", "href", "srcset", "data")
    ]
    assert loading == []
    assert "link" not in {tag for tag, _ in reader.elements}
    own = text.replace(get_plotlyjs(), "")
    assert set(re.findall(r"https?://[^\s\"')]+", own)) == {"http://www.w3.org/2000/svg"}  # the name of a namespace
    assert "@import" not in own
    assert "url(" not in own
    policy = next(a["content"] for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy


def test_plotly_is_included_once(text: str) -> None:
    assert text.count(get_plotlyjs()) == 1
    assert [len(script) > 1_000_000 for script in Reader(text).scripts] == [True, False, False]
    assert "$" not in re.sub(r"\$\{", "", Reader(text).scripts[2])  # no placeholder of the template is left


def test_the_data_is_the_study(text: str, digits_study: Path) -> None:
    results = Results.load(digits_study)
    data = data_of(text)
    keys = [column["key"] for column in data["columns"]]
    assert keys == ["trial", "state", "accuracy", "macs", "images_per_s", "params", "test_accuracy", "wall_s", "mixers"]
    assert data["front"] == results.front["trial"].tolist()
    assert data["best"] == results.trial("best")["trial"]
    assert len(data["rows"]) == 37
    for number, row in enumerate(data["rows"]):
        trial = results.trial(number)
        assert row["texts"][0] == str(number)
        if trial["state"] == "complete":
            assert row["values"][2] == pytest.approx(trial["accuracy"], rel=1e-6)
            assert row["texts"][2] == f"{trial['accuracy']:.4f}"
            assert row["curve"] == pytest.approx([item["val_accuracy"] for item in trial["curve"]], rel=1e-6)
    assert data["rows"][5]["texts"][1] == "failed: loss is <NaN> at epoch 2 & ended"
    assert data["rows"][5]["values"][2] is None


def test_architectures_are_restored_from_their_shared_parts(text: str, digits_study: Path) -> None:
    results, data = Results.load(digits_study), data_of(text)
    for number, entry in enumerate(data["architectures"]):
        whole = data["frames"][entry["frame"]] | {"stages": [data["stages"][index] for index in entry["stages"]]}
        assert whole == results.trial(number)["architecture"]
        assert "note" not in entry
        titles = [data["parts"][index]["title"] for index in entry["parts"]]
        assert titles == ["image", "stem", "stage 1", "stage 2", "head"]


def test_every_pair_of_objectives_has_a_figure(text: str) -> None:
    assert [figure["title"] for figure in data_of(text)["figures"]] == [
        "validation accuracy against MACs",
        "validation accuracy against throughput",
        "throughput against MACs",
        "hypervolume over trials",
        "mixers: share of blocks",
        "learning curves of the front",
    ]


def test_markup_stays_text(hostile_study: Path) -> None:
    text = render(Results.load(hostile_study))
    reader = Reader(text)
    assert "img" not in {tag for tag, _ in reader.elements}
    assert len(reader.scripts) == 3
    assert html.escape(HOSTILE) in text
    data = data_of(text)
    assert data["rows"][1]["texts"][1] == f"failed: {HOSTILE}"
    assert data["stages"][0]["mixer"]["name"] == HOSTILE


def test_a_study_without_a_complete_trial_has_no_figures_and_says_so(empty_study: Path) -> None:
    text = render(Results.load(empty_study))
    data = data_of(text)
    assert (data["figures"], data["rows"], data["front"], data["best"]) == ([], [], [], None)
    assert "No trial of this study is complete yet" in text
    assert "no trial is complete yet" in text


@pytest.mark.parametrize(
    ("objectives", "first", "count"),
    [
        (("accuracy",), "validation accuracy over trials", 4),
        (("accuracy", "macs"), "validation accuracy against MACs", 4),
        (("accuracy", "macs", "params", "images_per_s"), "validation accuracy against MACs", 9),
    ],
)
def test_any_number_of_objectives(
    tmp_path: Path,
    study_writer: Any,
    stored_trial: Any,
    architecture: Any,
    objectives: tuple[str, ...],
    first: str,
    count: int,
) -> None:
    curve = [{"epoch": epoch, "val_accuracy": 0.5} for epoch in (1, 2)]
    values = {"accuracy": 0.5, "macs": 1e5, "params": 1e3, "images_per_s": 10.0}
    trials = [
        stored_trial(
            [values[name] * (1 + n) for name in objectives], None, {"architecture": architecture(n), "curve": curve}
        )
        for n in range(2)
    ]
    study_writer(tmp_path, trials, objectives=objectives)
    figures = content(Results.load(tmp_path))["figures"]
    assert figures[0]["title"] == first
    assert len(figures) == count
    assert figures[0]["wide"]


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
