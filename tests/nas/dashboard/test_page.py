"""The page of a server in a real browser: the list of studies, live changes, a lost connection, two browsers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TIMEOUT_MS = 20_000


@pytest.fixture
def study(tmp_path: Path, digits_study: Path) -> Path:
    """A study that the test may change."""
    return Path(shutil.copytree(digits_study, tmp_path / "runs" / "digits"))


@pytest.fixture
def open_page(browser: Browser, page_visit: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address of a server in a browser of its own; afterwards no script may have failed or asked another server."""
    contexts, visits = [], []

    def open_address(server: Any, address: str = "", plotly: Any = None, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
        if plotly is not None:
            context.route("**/static/plotly-*", plotly)  # answered by the test
        contexts.append(context)
        visit = page_visit(context.new_page())
        visits.append((visit, f"http://{server.host}/"))
        visit.page.set_default_timeout(TIMEOUT_MS)
        visit.page.goto(f"http://{server.host}/{address}")
        return visit

    yield open_address
    for visit, own in visits:
        assert [url for url in visit.requests if not url.startswith((own, "data:", "blob:"))] == []
        assert [text for text in visit.errors if "net::ERR" not in text and "503" not in text] == []
    for context in contexts:
        context.close()


def check_text(locator: Locator, text: str) -> None:
    expect(locator).to_contain_text(text, timeout=TIMEOUT_MS)


def test_the_list_shows_names_as_text_and_opens_a_study_by_the_keyboard(
    study: Path, study_writer: Any, run_server: Any, open_page: Any
) -> None:
    study_writer(study.parent / "<b>hostile</b>", name=HOSTILE)
    with run_server(study.parent) as server:
        page = open_page(server).page
        rows = page.locator("table.studies tbody tr")
        expect(rows).to_have_count(2)
        check_text(page.locator("table.studies"), HOSTILE)
        check_text(page.locator("table.studies"), "<b>hostile</b>")
        assert page.locator("table.studies img").count() == page.locator("table.studies b").count() == 0
        digits = rows.filter(has_text="interrupted")
        check_text(digits, "validation accuracy, trial")
        expect(digits.get_by_role("img", name="Hypervolume over trials").locator("polyline")).to_have_count(1)
        link = page.get_by_role("link", name="digits")
        link.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#study-name")).to_have_text("digits")
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        page.get_by_role("link", name="All studies").click()
        expect(rows).to_have_count(2)


def test_the_list_follows_its_studies_and_keeps_the_focus(
    study: Path, empty_study: Path, run_server: Any, open_page: Any, tell_trial: Any
) -> None:
    shutil.copytree(empty_study, study.parent / "empty")
    with run_server(study.parent) as server:
        page = open_page(server).page
        row = page.locator("table.studies tbody tr").filter(has_text="digits")
        check_text(row, "interrupted")
        page.get_by_role("link", name="digits").focus()
        tell_trial(study, [0.9999, 1e4, 1e6])
        check_text(row, "0.9999")
        expect(page.get_by_role("link", name="digits")).to_be_focused()
        shutil.copytree(empty_study, study.parent / "new")
        expect(page.locator("table.studies tbody tr")).to_have_count(3, timeout=TIMEOUT_MS)
        shutil.rmtree(study.parent / "empty")
        expect(page.locator("table.studies tbody tr")).to_have_count(2, timeout=TIMEOUT_MS)


def test_an_address_of_no_study_shows_the_list(study: Path, empty_study: Path, run_server: Any, open_page: Any) -> None:
    shutil.copytree(empty_study, study.parent / "empty")
    with run_server(study.parent) as server:
        page = open_page(server, f"#/{HOSTILE.replace(' ', '%20')}/front").page
        check_text(page.get_by_role("alert"), f"There is no study {HOSTILE.partition('/')[0]}")
        expect(page.locator("table.studies tbody tr")).to_have_count(2)


def test_the_only_study_is_shown_at_once_and_lives(
    study: Path, run_server: Any, open_page: Any, tell_trial: Any
) -> None:
    with run_server(study) as server:
        visit = open_page(server)
        page = visit.page
        check_text(page.locator("#facts"), "0.3848")
        page.locator("#tab-table").click()
        tell_trial(study, [0.9999, 1e4, 1e6])
        check_text(page.locator("#facts"), "0.9999")
        assert page.locator("#tab-table").get_attribute("aria-selected") == "true"
        assert len([url for url in visit.requests if "/static/" in url]) == 3


def test_the_page_goes_on_after_a_restart_of_the_server(
    study: Path, run_server: Any, open_page: Any, tell_trial: Any
) -> None:
    with run_server(study) as server:
        page = open_page(server).page
        check_text(page.locator("#facts"), "0.3848")
        expect(page.locator("#connection")).to_have_text("")
    check_text(page.locator("#connection"), "Connection lost, retrying")
    tell_trial(study, [0.9998, 1e4, 1e6])
    with run_server(study, port=server.address.port):
        check_text(page.locator("#facts"), "0.9998")
        expect(page.locator("#connection")).to_have_text("")
        tell_trial(study, [0.9999, 1e4, 1e6])
        check_text(page.locator("#facts"), "0.9999")


def test_two_browsers_see_the_note_and_the_pin_of_each_other(study: Path, run_server: Any, open_page: Any) -> None:
    with run_server(study) as server:
        first, second = (open_page(server, f"#/{server.keys['digits']}/front?trial=4").page for _ in range(2))
        for page in (first, second):
            page.get_by_label("Note on trial 4").wait_for()
        first.get_by_label("Note on trial 4").fill(HOSTILE)
        first.get_by_label("Note on trial 4").blur()
        expect(second.get_by_label("Note on trial 4")).to_have_value(HOSTILE)
        second.get_by_role("button", name="Pin", exact=True).click()
        expect(first.get_by_role("button", name="Unpin")).to_be_visible()
        second.reload()
        expect(second.get_by_label("Note on trial 4")).to_have_value(HOSTILE)
        expect(second.get_by_role("button", name="Unpin")).to_be_visible()


def test_a_study_that_is_removed_is_named_until_it_comes_back(study: Path, run_server: Any, open_page: Any) -> None:
    with run_server(study) as server:
        page = open_page(server).page
        check_text(page.locator("#facts"), "0.3848")
        study.rename(study.with_name("elsewhere"))
        check_text(page.locator("#warnings"), str(study))
        check_text(page.locator("#facts"), "0.3848")
        study.with_name("elsewhere").rename(study)
        expect(page.locator("#warnings")).not_to_contain_text(str(study))


def test_another_study_in_its_place_is_shown(study: Path, empty_study: Path, run_server: Any, open_page: Any) -> None:
    with run_server(study) as server:
        page = open_page(server).page
        check_text(page.locator("#facts"), "0.3848")
        shutil.copy(empty_study / "study.db", study / "new")
        (study / "new").replace(study / "study.db")
        expect(page.locator("#study-name")).to_have_text("nothing yet")
        check_text(page.locator("#facts"), "no trial is complete yet")


def test_a_note_of_10_megabytes_is_answered_in_the_browser(study: Path, run_server: Any, open_page: Any) -> None:
    with run_server(study) as server:
        visit = open_page(server)
        check_text(visit.page.locator("#facts"), "0.3848")
        script = f"""async () => {{
          const body = JSON.stringify({{ text: "x".repeat(10000000) }});
          const options = {{ method: "PUT", headers: {{ "content-type": "application/json" }}, body }};
          const response = await fetch("api/studies/{server.keys["digits"]}/trials/4/note", options);
          return [response.status, (await response.json()).error];
        }}"""
        status, text = visit.page.evaluate(script)
        assert status == 413
        assert "65,536 bytes" in text
        visit.errors[:] = [error for error in visit.errors if "413" not in error]


def test_a_page_with_a_token_keeps_it_out_of_the_address(study: Path, run_server: Any, open_page: Any) -> None:
    with run_server(study, token="of-the-test") as server:
        page = open_page(server, "?token=of-the-test").page
        check_text(page.locator("#facts"), "0.3848")
        assert "of-the-test" not in page.url
        assert page.evaluate("document.cookie") == ""
        page.reload()
        check_text(page.locator("#facts"), "0.3848")


def test_the_front_is_sketched_until_plotly_is_loaded(study: Path, run_server: Any, open_page: Any) -> None:
    held: list[Any] = []
    with run_server(study) as server:
        page = open_page(server, plotly=lambda route: held.append(route)).page
        sketch = page.locator("#panel-front canvas.sketch")
        expect(sketch).to_be_visible()
        strongest = sketch.evaluate(
            "(canvas) => canvas.getContext('2d').getImageData(100, 100, 200, 200).data.reduce((a, b) => Math.max(a, b))"
        )
        assert strongest > 0
        check_text(page.locator("#panel-front"), "Which one should I take?")
        for route in held:
            route.continue_()
        expect(page.locator("#panel-front .js-plotly-plot .points path").first).to_be_attached()
        expect(sketch).to_have_count(0)


def test_the_page_says_that_plotly_is_missing(study: Path, run_server: Any, open_page: Any) -> None:
    with run_server(study) as server:
        page = open_page(server, plotly=lambda route: route.abort()).page
        check_text(page.locator("#panel-front"), "plotly.js could not be loaded")
        check_text(page.locator("#panel-front"), "Which one should I take?")
