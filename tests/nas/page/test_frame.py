"""The frame of the page: tabs, a header of constant height, what a laptop shows, contrast, and panels that are shown again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TITLES = ["Front", "Progress", "Space", "Compare", "Retrained", "Health", "Table", "Data"]
LAPTOP = {"width": 1366, "height": 768}
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
CONTRASTS = """() => {
  const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (text) => {
    pixel.clearRect(0, 0, 1, 1); pixel.fillStyle = text; pixel.fillRect(0, 0, 1, 1);
    return [...pixel.getImageData(0, 0, 1, 1).data];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((value, i) => (value * a + under[i] * (255 - a)) / 255);
  const channel = (value) => value / 255 <= .03928 ? value / 255 / 12.92 : ((value / 255 + .055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const background = (node) => {
    const under = node === document.documentElement ? [255, 255, 255] : background(node.parentElement);
    return over(rgba(getComputedStyle(node).backgroundColor), under);
  };
  const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  return [...document.querySelectorAll('#page *:not(svg *)')]
    .filter((node) => hasText(node) && node.checkVisibility() && !node.disabled)
    .map((node) => {
      const under = background(node), ink = over(rgba(getComputedStyle(node).color), under);
      const [dark, light] = [luminance(under), luminance(ink)].sort((a, b) => a - b);
      return [(light + .05) / (dark + .05), node.className, node.textContent.slice(0, 30)];
    });
}"""


@pytest.fixture
def laptop(opened_study: Any, halving_study: Path) -> Iterator[Callable[[str], Any]]:
    """Opens a view of a study in the window of a laptop."""
    visits = []

    def show(view: str) -> Any:
        visit = opened_study(halving_study, view)
        visit.page.set_viewport_size(LAPTOP)
        visits.append(visit)
        return visit

    yield show
    assert visits[0].errors == []


def test_tabs_have_their_order_and_keys(laptop: Any) -> None:
    visit = laptop("front")
    tabs = visit.page.get_by_role("tab")
    assert tabs.all_text_contents() == TITLES
    tabs.first.focus()
    for key, title in (("End", "Data"), ("ArrowRight", "Front"), ("ArrowLeft", "Data"), ("Home", "Front")):
        visit.page.keyboard.press(key)
        visit.wait_for(f"document.querySelector('[aria-selected=true]').textContent === '{title}'")
        assert visit.page.evaluate("document.activeElement.textContent") == title
    assert visit.page.locator("[role=tab][tabindex='0']").count() == 1
    panels = tabs.evaluate_all(
        "tabs => tabs.map((tab) => document.getElementById(tab.getAttribute('aria-controls'))?.role)"
    )
    assert panels == ["tabpanel"] * len(TITLES)


def test_the_selected_tab_is_seen_on_a_phone(laptop: Any) -> None:
    visit = laptop("front")
    visit.page.set_viewport_size({"width": 390, "height": 800})
    visit.page.evaluate("document.getElementById('tab-data').click()")
    visit.wait_for("document.getElementById('tab-data').getBoundingClientRect().right <= innerWidth")


def test_a_laptop_shows_the_figure_the_answer_and_the_limits(laptop: Any) -> None:
    visit = laptop("front")
    bottom = "document.querySelector('{}').getBoundingClientRect().bottom <= innerHeight"
    for part in (".front-figure", ".choice", ".limit-rows"):
        visit.wait_for(bottom.format(part))


def test_the_header_has_one_height_for_all_numbers(
    opened_study: Any, halving_study: Path, digits_study: Path, empty_study: Path
) -> None:
    heights = set()
    for study in (halving_study, digits_study, empty_study):
        visit = opened_study(study)
        visit.page.set_viewport_size(LAPTOP)
        heights.add(visit.page.evaluate("document.getElementById('facts').offsetHeight"))
    assert len(heights) == 1


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize(
    "view", ["front?trial=2&limit.macs=..5e5", "space", "compare?compare=2,5", "health", "table?filter=a+>>"]
)
def test_texts_have_contrast(laptop: Any, view: str, colours: str) -> None:
    visit = laptop(view)
    visit.page.evaluate(f"theme.choose('{colours}')")
    visit.page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    found = visit.page.evaluate(CONTRASTS)
    visit.page.evaluate("theme.choose('auto')")
    assert len(found) > 20
    assert [entry for entry in found if entry[0] < LEAST_CONTRAST] == []


def test_a_panel_that_is_shown_again_is_drawn_only_if_something_changed(laptop: Any) -> None:
    visit = laptop("front")
    go = """(panel) => {
      document.getElementById(`tab-${panel}`).click();
      return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    }"""
    visit.page.evaluate("() => { window.draws = 0; window.react = Plotly.react; }")
    visit.page.evaluate("() => { Plotly.react = (...all) => { draws += 1; return react(...all); }; }")
    for panel in ("table", "front"):
        visit.page.evaluate(go, panel)
    assert visit.page.evaluate("draws") == 0
    visit.page.evaluate(go, "table")
    visit.page.evaluate("state.set({'limit.macs': '..1e5'})")
    visit.page.evaluate(go, "front")
    assert visit.page.evaluate("draws") == 1
    visit.page.evaluate("() => { Plotly.react = react; state.set({'limit.macs': null}); }")


def test_trials_that_run_do_not_count_as_results(opened_study: Any, digits_study: Path) -> None:
    change = """([trial, extra]) => {
      const { study } = app.view, bytes = (array) => btoa(String.fromCharCode(...new Uint8Array(array.buffer)));
      const index = { dtype: 'i4', bdata: bytes(Int32Array.of(trial)) };
      const offsets = { dtype: 'i4', bdata: bytes(Int32Array.of(0, 0)) };
      const before = [study.revision, study.resultRevision];
      const rows = { index, columns: {}, curves: { offsets, values: { dtype: 'f4', bdata: '' } } };
      study.apply({ cursor: 'x', count: study.count, searching: study.searching, rows, ...extra });
      return [study.revision - before[0], study.resultRevision - before[1]];
    }"""
    visit = opened_study(digits_study)
    states = visit.page.evaluate("[...Array(app.view.study.count).keys()].map((i) => app.view.study.text('state', i))")
    assert visit.page.evaluate(change, [states.index("running"), {}]) == [1, 0]
    assert visit.page.evaluate(change, [states.index("complete"), {}]) == [1, 1]
    assert visit.page.evaluate(change, [states.index("running"), {"pins": [1]}]) == [1, 1]


PHONE = {"width": 390, "height": 844}


def test_on_a_phone_buttons_say_that_there_are_more_tabs(laptop: Any) -> None:
    visit = laptop("front")
    before, after = (visit.page.locator(f".more-tabs.{side}") for side in ("before", "after"))
    assert not before.is_visible()
    assert not after.is_visible()  # all tabs fit a laptop
    visit.page.set_viewport_size(PHONE)
    after.wait_for(state="visible")
    assert not before.is_visible()
    while after.is_visible():
        after.click()
        visit.page.wait_for_timeout(400)  # the row scrolls smoothly
    before.wait_for(state="visible")
    last = visit.page.get_by_role("tab", name="Data")
    assert last.bounding_box()["x"] + last.bounding_box()["width"] <= PHONE["width"]
    first = visit.page.get_by_role("tab", name="Front")
    first.focus()
    visit.page.keyboard.press("Home")
    before.wait_for(state="hidden")
    assert visit.page.get_by_role("tab").all_text_contents() == TITLES


def test_a_tab_that_is_chosen_is_not_under_the_buttons(laptop: Any) -> None:
    visit = laptop("front")
    visit.page.set_viewport_size(PHONE)
    for title in ("Retrained", "Health", "Compare"):
        visit.page.evaluate(f"document.getElementById('tab-{title.lower()}').click()")
        visit.wait_for(f"document.querySelector('[aria-selected=true]').textContent === '{title}'")
        hit = visit.page.evaluate(
            """() => { const box = document.querySelector('[aria-selected=true]').getBoundingClientRect();
            return [box.left + 4, box.right - 4].map((x) => document.elementFromPoint(x, box.top + 12).textContent); }"""
        )
        assert hit == [title, title]
