"""The drawer of a trial and comparisons in the dashboard: live changes, notes and pins, pictures, studies on one front."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from nas.study.database.storage import open_study

RUNNING = 36


@dataclass(frozen=True)
class Dashboard:
    """A page of the dashboard, and the studies that it serves."""

    visit: Any
    server: Any
    folder: Path

    @property
    def page(self) -> Any:
        return self.visit.page

    def show(self, panel: str, query: str) -> None:
        self.page.evaluate(f"location.hash = '#/{self.server.keys[self.folder.name]}/{panel}?{query}'")

    def open_trial(self, trial: int) -> Any:
        """The drawer of `trial` with its details."""
        self.show("front", f"trial={trial}")
        self.visit.wait_for(f"document.querySelector('#trial-title')?.textContent === 'Trial {trial}'")
        self.visit.wait_for("document.querySelector('#drawer').ariaBusy === 'false'")
        return self.page.locator("#drawer")


@pytest.fixture(scope="module")
def dashboard(
    digits_study: Path,
    run_server: Callable[..., Any],
    browser: Browser,
    page_visit: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Dashboard]:
    """Two copies of `digits_study`, which the tests change."""
    root = tmp_path_factory.mktemp("live")
    first, second = (Path(shutil.copytree(digits_study, root / name)) for name in ("first", "second"))
    with run_server(first, second) as server:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        opened = Dashboard(page_visit(page), server, first)
        page.goto(f"http://{server.host}/#/{server.keys['first']}/front")
        opened.visit.wait_for("document.querySelector('#study-name')?.textContent === 'digits'")
        opened.visit.errors.clear()  # the study may have been read only at the second attempt, which the browser logs
        yield opened
        page.close()


def test_details_come_from_the_server(dashboard: Dashboard) -> None:
    drawer = dashboard.open_trial(0)
    assert drawer.locator(".parts > li").count() == 5
    assert drawer.locator(".command pre").nth(1).text_content().endswith("first 0 --out model-0")
    assert dashboard.open_trial(5).locator(".reason").text_content() == "loss is <NaN> at epoch 2 & ended"


def test_pictures_are_fetched_when_they_are_unfolded(dashboard: Dashboard) -> None:
    dashboard.open_trial(0).get_by_text("Channel dependency graphs").click()
    graphs = "document.querySelectorAll('#drawer .block-graph')"
    dashboard.visit.wait_for(f"{graphs}.length > 0 && [...{graphs}].every((graph) => graph.querySelector('.main-svg'))")
    assert any(url.endswith("/trials/0/pictures") for url in dashboard.visit.requests)


def test_a_note_is_kept_in_the_study(dashboard: Dashboard) -> None:
    area = dashboard.open_trial(1).locator("textarea")
    area.fill("<b>look again</b>")
    area.blur()
    dashboard.visit.wait_for("document.querySelector('#drawer textarea + span').textContent === 'Saved'")
    dashboard.page.reload()
    dashboard.visit.wait_for("document.querySelector('#drawer textarea')?.value === '<b>look again</b>'")


def test_an_update_keeps_a_note_that_is_being_stored(dashboard: Dashboard) -> None:
    area = dashboard.open_trial(2).locator("textarea")
    held: list[Any] = []
    dashboard.page.route("**/note", lambda route: held.append(route))
    area.fill("typed")
    area.blur()
    while not held:
        dashboard.page.wait_for_timeout(20)
    open_study(dashboard.folder).set_user_attr("pins", [2])
    dashboard.visit.wait_for("document.querySelector('.badges').textContent.includes('pinned')")
    assert area.input_value() == "typed"
    held[0].continue_()
    dashboard.visit.wait_for("document.querySelector('#drawer textarea + span').textContent === 'Saved'")
    assert area.input_value() == "typed"
    dashboard.page.unroute("**/note")
    open_study(dashboard.folder).set_user_attr("pins", [])
    dashboard.visit.wait_for("!document.querySelector('.badges').textContent.includes('pinned')")


def test_pins_are_compared(dashboard: Dashboard) -> None:
    for trial in (0, 4):
        dashboard.open_trial(trial).get_by_role("button", name="Pin", exact=True).click()
        dashboard.visit.wait_for("document.querySelector('.badges').textContent.includes('pinned')")
    dashboard.show("compare", "")
    dashboard.visit.wait_for("document.querySelectorAll('.comparison thead .link').length === 2")
    dashboard.visit.wait_for("document.querySelectorAll('.compared-networks .parts').length === 2")
    dashboard.open_trial(4).get_by_role("button", name="Unpin").click()
    dashboard.visit.wait_for("!document.querySelector('.badges').textContent.includes('pinned')")


def test_a_trial_that_ends_while_it_is_open_is_loaded_again(dashboard: Dashboard) -> None:
    drawer = dashboard.open_trial(RUNNING)
    assert drawer.locator(".command").count() == 2
    area = drawer.locator("textarea")
    area.fill("not saved yet")
    drawer.evaluate("(root) => { root.scrollTop = 120; }")
    place = "(area) => area.getBoundingClientRect().top - area.closest('#drawer').getBoundingClientRect().top"
    before = area.evaluate(place)
    open_study(dashboard.folder).tell(RUNNING, [0.999, 3e4, 1e6])
    dashboard.visit.wait_for("document.querySelectorAll('#drawer .command').length === 4")
    assert "complete" in drawer.locator(".badges").text_content()
    assert "Best in validation accuracy" in drawer.locator(".standing").text_content()
    assert area.input_value() == "not saved yet"
    assert area.evaluate("(area) => area === document.activeElement")
    assert area.evaluate(place) == pytest.approx(before, abs=2)


def test_a_detail_that_fails_can_be_tried_again(dashboard: Dashboard) -> None:
    address = "**/trials/2"
    dashboard.page.route(address, lambda route: route.fulfill(status=503, body='{"error": "It is locked."}'))
    drawer = dashboard.open_trial(2)
    assert "The details could not be loaded: It is locked." in drawer.locator(".message").text_content()
    dashboard.page.unroute(address)
    drawer.get_by_role("button", name="Try again").click()
    dashboard.visit.wait_for("document.querySelectorAll('#drawer .parts > li').length === 5")
    dashboard.visit.errors.clear()  # the browser logs the answer


def test_a_trial_that_is_gone_is_said_to_be_gone(dashboard: Dashboard) -> None:
    address = "**/trials/3"
    dashboard.page.route(address, lambda route: route.fulfill(status=404, body='{"error": "There is no trial 3."}'))
    drawer = dashboard.open_trial(3)
    assert drawer.locator(".message").text_content() == "This trial is no longer there."
    assert drawer.get_by_role("button", name="Try again").count() == 0
    dashboard.page.unroute(address)
    dashboard.visit.errors.clear()


def test_studies_of_the_dashboard_share_one_front(dashboard: Dashboard) -> None:
    dashboard.show("compare", f"compare=0&studies={dashboard.server.keys['second']}")
    dashboard.visit.wait_for("document.querySelectorAll('.overlaid-studies tbody tr').length === 2")
    cells = dashboard.page.locator(".overlaid-studies tbody tr td:last-child").all_text_contents()
    values = [float(text.removesuffix("best")) for text in cells]
    assert 1 > values[0] > values[1] > 0  # the first has a better trial since


def test_no_script_failed_and_nothing_left_the_machine(dashboard: Dashboard) -> None:
    assert dashboard.visit.errors == []
    hosts = {url.split("/")[2] for url in dashboard.visit.requests if not url.startswith(("data:", "blob:"))}
    assert hosts == {dashboard.server.host}
