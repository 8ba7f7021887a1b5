"""The panel Data in the browser, and all panels on studies that have little to show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from plotly.offline import get_plotlyjs

from nas.analysis.columns import StudyColumns
from nas.analysis.results import Results
from nas.html import script_json
from nas.page.analysis import analysis
from nas.page.assets import inline_page
from nas.page.document import PageState, document
from nas.study.content import StudySnapshot
from nas.study.layout import DATA
from trainers.data.config import DataConfig
from trainers.data.description import describe
from trainers.data.prepared import prepare

PANELS = ("progress", "space", "health", "data")
DATASET = {
    "name": "flowers & <b>trees</b>",
    "fingerprint": "f00d",
    "image_size": [8, 8],
    "in_chans": 1,
    "num_classes": 2,
    "class_names": ["<img src=x onerror=alert(1)>", "oak"],
    "class_counts": {"train": [30, 10], "val": [6, 2], "test": [6, 2]},
    "train": 40,
    "val": 8,
    "test": 8,
    "duplicates": {
        "within": {},
        "across": {"train/val": {"count": 3, "examples": []}},
        "groups": {},
        "conflicting": {"count": 0, "examples": []},
    },
}


@pytest.fixture(scope="module")
def digits_data(tmp_path_factory: pytest.TempPathFactory, study_writer: Callable[..., Path]) -> Path:
    """A study with its decoded images."""
    folder = tmp_path_factory.mktemp("studies") / "images"
    file = prepare(DataConfig(source="digits", limit=200), folder / DATA)
    return study_writer(folder, dataset=DATASET | {"fingerprint": describe(file).fingerprint})


def test_images_are_shown(opened_study: Callable[..., Any], digits_data: Path) -> None:
    opened = opened_study(digits_data, "data")
    opened.page.wait_for_selector("#panel-data .contact-sheet img")
    widths = opened.page.eval_on_selector_all("#panel-data img", "images => images.map((image) => image.naturalWidth)")
    assert len(widths) == 10
    assert min(widths) > 48
    opened.check_quiet()


def test_classes_and_settings_are_text(
    opened_study: Callable[..., Any], study_writer: Callable[..., Path], tmp_path: Path
) -> None:
    opened = opened_study(study_writer(tmp_path / "flowers", dataset=DATASET), "data")
    page = opened.page
    rows = [row.split("\t")[:5] for row in page.locator("#panel-data tbody tr").all_inner_texts()]
    assert rows == [["<img src=x onerror=alert(1)>", "30", "6", "6", "75.0 %"], ["oak", "10", "2", "2", "25.0 %"]]
    assert "the largest has 3 times as many as the smallest" in page.inner_text("#panel-data summary >> nth=0")
    assert "The decoded images are missing" in page.inner_text("#panel-data")
    assert page.locator("#panel-data img").count() == 0
    assert "3 of 8 images (37.5 %) of the val split are also in the train split" in page.inner_text(
        "#panel-data .warning"
    )
    config, dataset = (json.loads(text) for text in page.locator("#panel-data pre").all_text_contents())
    assert config["sampler"] == {"name": "tpe"}
    assert dataset == DATASET
    opened.check_quiet()


@pytest.fixture(scope="module")
def small_studies(
    study_writer: Callable[..., Path],
    stored_trial: Any,
    architecture: Callable[[int], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Studies that are empty, have one trial, failed ones only, two objectives or five."""
    five = ("accuracy", "macs", "images_per_s", "params", "latency_ms")
    attributes = {"architecture": architecture(3), "device": "cpu", "wall_s": 3.0, "train_s": 2.0}
    failed = [stored_trial(None, TrialState.FAIL, {"failure": f"<b>{n}</b>"}) for n in range(3)]
    several = [[0.5 + 0.1 * n, 1e5 * (n + 1), 1e3 / (n + 1), 1e4, 1.0 + n] for n in range(4)]
    cases: dict[str, tuple[list[Any], tuple[str, ...]]] = {
        "empty": ([], five[:3]),
        "one": ([stored_trial([0.5, 1e6, 2e3], None, attributes)], five[:3]),
        "failed": (failed, five[:3]),
        "two": ([stored_trial(values[:2], None, attributes) for values in several], five[:2]),
        "five": ([stored_trial(values, None, attributes) for values in several], five),
    }
    root = tmp_path_factory.mktemp("studies")
    return {name: study_writer(root / name, trials, objectives=goals) for name, (trials, goals) in cases.items()}


def document_of(folder: Path) -> dict[str, Any]:
    """The document of a study with its findings."""
    study = StudySnapshot.of(folder)
    columns = StudyColumns(study.info.objectives)
    columns.update(study.trials)
    return document(study.info, columns, PageState(folder.name)) | {"analysis": analysis(Results.of(study), columns)}


def test_little_to_show(small_studies: dict[str, Path], visit: Callable[..., Any], tmp_path: Path) -> None:
    """No panel fails on a study that has little to show."""
    documents = {name: document_of(folder) for name, folder in small_studies.items()}
    file = tmp_path / "page.html"
    file.write_text(inline_page("studies", get_plotlyjs(), script_json({"documents": documents})))
    opened = visit(file, figures=0)
    for name in documents:
        for panel in PANELS:
            opened.page.evaluate("hash => { location.hash = hash; }", f"#/{name}/{panel}")
            opened.wait_for(f"state.study === '{name}' && !!document.querySelector('#panel-{panel}:not([hidden])')")
            assert opened.page.inner_text(f"#panel-{panel}").strip(), (name, panel)
        assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    opened.check_quiet()
