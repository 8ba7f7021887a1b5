"""Panel "Compare" in the browser: trials side by side, and several studies on one front with exact hypervolumes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser
from plotly.offline import get_plotlyjs

from nas.analysis.columns import StudyColumns
from nas.analysis.front import Bounds, hypervolume
from nas.analysis.results import Results
from nas.html import script_json
from nas.objectives import Objective, get
from nas.page.assets import inline_page
from nas.page.detail import StudyContext
from nas.page.detail_chunks import detail_chunks
from nas.page.document import PageState, document
from nas.study.info import StudyInfo
from nas.study.stored import StoredStudy

HOSTILE = "<img src=x onerror=alert(1)>"


def page_of(folders: dict[str, Path]) -> str:
    """A page with several studies, by key."""
    documents, details = {}, {}
    for key, folder in folders.items():
        study = StoredStudy.read(folder)
        info = StudyInfo(folder, study.name, study.attributes, len(study.optuna.directions))
        columns = StudyColumns(info.objectives)
        columns.update(study.trials)
        documents[key] = document(info, columns, PageState(key))
        details[key] = detail_chunks(study.trials, StudyContext.of(folder, info.attributes), []).to_dict()
    return inline_page("studies", get_plotlyjs(), script_json({"documents": documents, "details": details}))


@pytest.fixture(scope="module")
def hostile_study(tmp_path_factory: pytest.TempPathFactory, study_writer: Any, stored_trial: Any) -> Path:
    """Another study with the objectives of `choice_study`, and a name that is markup."""
    values = [[0.85, 4000.0, 3000.0], [0.6, 2000.0, 9000.0], [0.5, 2500.0, 100.0]]
    return Path(
        study_writer(tmp_path_factory.mktemp("studies") / "other", [stored_trial(v) for v in values], name=HOSTILE)
    )


@pytest.fixture(scope="module")
def opened(
    choice_study: Path, hostile_study: Path, browser: Browser, page_visit: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A page of two studies, opened once."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page_of({"choices": choice_study, "other": hostile_study}), encoding="utf-8")
    visited = page_visit(browser.new_page(viewport={"width": 1500, "height": 1000}))
    visited.page.goto(f"{file.as_uri()}#/choices/compare")
    yield visited
    visited.page.close()


@pytest.fixture
def panel(opened: Any) -> Iterator[Callable[[str], Any]]:
    """Opens the panel with a query; no script may fail."""

    def show(query: str = "") -> Any:
        opened.page.evaluate(f"location.hash = '#/choices/compare?{query}'")
        opened.wait_for("document.querySelector('#panel-compare')?.hidden === false")
        opened.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return opened.page.locator("#panel-compare")

    yield show
    assert opened.errors == []


def texts(locator: Any) -> list[str]:
    found: list[str] = locator.all_text_contents()
    return found


def row(panel: Any, label: str) -> list[str]:
    return texts(panel.locator(".comparison tr", has=panel.page.get_by_role("rowheader", name=label)).locator("td"))


def test_pinned_trials_are_compared_at_first(panel: Callable[[str], Any]) -> None:
    assert texts(panel("").locator(".comparison thead .link")) == ["trial 0", "trial 4"]


def test_values_say_which_is_better_in_words(panel: Callable[[str], Any]) -> None:
    shown = panel("compare=1,2,4")
    assert row(shown, "validation accuracy") == [
        "0.8300",
        "0.8200▼ 1.0 points less (worse)",
        "0.9000best▲ 7.0 points more (better)",
    ]
    assert row(shown, "throughput") == [
        "3.50 k images/sbest",
        "2.00 k images/s▼ 43 % less (worse)",
        "1.00 k images/s▼ 71 % less (worse)",
    ]


def test_choices_that_differ_are_marked_and_others_shown_on_demand(opened: Any, panel: Callable[[str], Any]) -> None:
    shown = panel("compare=1,4")
    assert row(shown, "stage 1 depth") == ["1", "2"]
    assert shown.locator("td.different").all_text_contents() == ["2", "32"]
    assert row(shown, "stage 1 mixer") == []
    shown.get_by_label("all choices").check()
    opened.wait_for("location.hash.includes('choices=all')")
    opened.wait_for("document.querySelector('.comparison').textContent.includes('stage 1 mixer')")
    assert row(shown, "stage 1 mixer") == ["conv", "conv"]
    shown.get_by_label("all choices").uncheck()


def test_networks_and_curves_are_beside_each_other(opened: Any, panel: Callable[[str], Any]) -> None:
    shown = panel("compare=1,3,4")
    opened.wait_for("document.querySelectorAll('.compared-networks section').length === 3")
    assert texts(shown.locator(".compared-networks h3")) == ["Trial 1", "Trial 3", "Trial 4"]
    assert shown.locator(".compared-networks .parts").count() == 3
    assert shown.locator(".compared-curves polyline").count() == 3
    assert texts(shown.locator(".chart-legend span")) == [" trial 1", " trial 3", " trial 4"]


def test_trials_are_added_and_removed(opened: Any, panel: Callable[[str], Any]) -> None:
    shown = panel("compare=1,2")
    shown.get_by_label("Number of a trial to compare").fill("3")
    opened.page.keyboard.press("Enter")
    opened.wait_for("document.querySelectorAll('.comparison thead .link').length === 3")
    assert "compare=1%2C2%2C3" in opened.page.url
    shown.get_by_role("button", name="Do not compare trial 1").click()
    opened.wait_for("document.querySelectorAll('.comparison thead .link').length === 2")
    shown.get_by_role("button", name="Add the best (trial 4)").click()
    opened.wait_for("document.querySelectorAll('.comparison thead .link').length === 3")
    assert texts(shown.locator(".comparison thead .link")) == ["trial 2", "trial 3", "trial 4"]


def test_a_number_that_is_no_trial_is_not_added(opened: Any, panel: Callable[[str], Any]) -> None:
    shown = panel("compare=1")
    shown.get_by_label("Number of a trial to compare").fill("99")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_timeout(100)
    assert texts(shown.locator(".comparison thead .link")) == ["trial 1"]


@pytest.mark.parametrize("query", ["compare=x,-1,1e9,2.5", "compare=,"])
def test_an_address_without_trials_says_what_to_do(query: str, panel: Callable[[str], Any]) -> None:
    shown = panel(query)
    assert shown.locator(".comparison").count() == 0
    assert "Nothing to compare yet: add up to 4 trials" in shown.text_content()


def test_the_drawer_adds_its_trial(opened: Any, panel: Callable[[str], Any]) -> None:
    shown = panel("compare=1,2&trial=3")
    opened.page.locator("#drawer").get_by_role("button", name="Compare", exact=True).click()
    opened.wait_for("document.querySelectorAll('.comparison thead .link').length === 3")
    opened.page.locator("#drawer").get_by_role("button", name="Do not compare", exact=True).click()
    opened.wait_for("document.querySelectorAll('.comparison thead .link').length === 2")
    assert texts(shown.locator(".comparison thead .link")) == ["trial 1", "trial 2"]


def test_studies_share_one_front_and_one_box(
    choice_study: Path, hostile_study: Path, opened: Any, panel: Callable[[str], Any]
) -> None:
    shown = panel("compare=1")
    assert not shown.locator(".overlaid-studies").is_visible()
    shown.get_by_label(HOSTILE).check()
    opened.wait_for("document.querySelector('.overlaid-studies')")
    results = [Results.load(folder) for folder in (choice_study, hostile_study)]
    values = [found.values[~np.isnan(found.values).any(axis=1)] for found in results]
    objectives = results[0].objectives
    bounds = Bounds.of(np.vstack(values), objectives)
    expected = [f"{hypervolume(of_study, objectives, bounds):.4f}" for of_study in values]
    cells = [texts(shown.locator(".overlaid-studies tbody tr").nth(i).locator("th, td")) for i in range(2)]
    assert [line[0] for line in cells] == ["choices", HOSTILE]
    assert [line[1] for line in cells] == ["5", "3"]
    assert [line[3].removesuffix("best") for line in cells] == expected
    figure = "document.querySelector('#panel-compare .js-plotly-plot')"
    opened.wait_for(f"{figure} && {figure}.data.length === 4")
    assert opened.page.evaluate(f"{figure}.data[3].y.length") == 2  # its front in accuracy and MACs
    shown.get_by_label("horizontal").select_option("images_per_s")
    opened.wait_for(f"{figure}.layout.xaxis.title.text === 'throughput (images/s)'")
    assert opened.page.locator("img").count() == 0
    shown.get_by_label(HOSTILE).uncheck()


def test_no_request_leaves_the_page(opened: Any) -> None:
    opened.check_quiet()


def random_points(seed: int, count: int, objectives: list[Objective]) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    values = np.where([o.log for o in objectives], 10 ** rng.uniform(2, 7, (count, len(objectives))), 0.0)
    plain = rng.uniform(0, 1, values.shape).round(2)  # with ties
    return np.where([o.log for o in objectives], values, plain)


@pytest.mark.parametrize(
    "names",
    [
        ("accuracy",),
        ("accuracy", "macs"),
        ("accuracy", "macs", "images_per_s"),
        ("accuracy", "balanced_accuracy", "macro_f1"),
        ("accuracy", "macs", "images_per_s", "params"),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 60])
def test_the_hypervolume_of_the_script_is_that_of_the_analysis(names: tuple[str, ...], count: int, opened: Any) -> None:
    objectives = [get(name) for name in names]
    points = random_points(len(names), count, objectives)
    box = Bounds.of(np.vstack([points, random_points(7, 5, objectives)]), objectives)
    plain = [objective.to_dict() for objective in objectives]
    script = "([points, all, objectives]) => hypervolume.share(points, objectives, hypervolume.bounds(all, objectives))"
    everything = np.vstack([points, random_points(7, 5, objectives)]).tolist()
    found = opened.page.evaluate(script, [points.tolist(), everything, plain])
    assert found == pytest.approx(hypervolume(points, objectives, box), rel=1e-9)


def test_the_hypervolume_of_degenerate_points_is_that_of_the_analysis(opened: Any) -> None:
    objectives = [get("accuracy"), get("macs")]
    plain = [objective.to_dict() for objective in objectives]
    script = "([points, objectives]) => hypervolume.share(points, objectives, hypervolume.bounds(points, objectives))"
    for points in ([], [[0.5, 10.0]], [[0.5, 10.0], [0.5, 100.0]], [[0.5, 0.0], [0.6, 10.0], [0.4, 5.0]]):
        expected = hypervolume(np.array(points).reshape(-1, 2), objectives)
        assert opened.page.evaluate(script, [points, plain]) == pytest.approx(expected), points


def test_one_click_compares_the_best_the_cheapest_and_the_knee(
    choice_study: Path, opened: Any, panel: Callable[[str], Any]
) -> None:
    shown = panel("compare=,")
    shown.get_by_role("button", name=re.compile("^Compare best")).click()
    opened.wait_for("location.hash.includes('compare=4')")
    complete = Results.load(choice_study).complete
    expected = [f"trial {complete['accuracy'].idxmax()}", f"trial {complete['macs'].idxmin()}"]
    assert shown.locator(".comparison thead th[scope=col] button.link").all_text_contents()[:2] == expected
