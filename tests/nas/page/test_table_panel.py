"""Panel "Table" in the browser: filters against the results in Python, sorting, files, keys and live changes."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nas.analysis.results import Results

pytestmark = pytest.mark.parametrize("front_end", ["report", "dashboard"], indirect=True, scope="module")

ROWS = "document.querySelectorAll('.trials tr[data-trial]')"
HOSTILE = '=<img src=x onerror=alert(1)>, "quoted"\nline'


@pytest.fixture(scope="module")
def table_study(tmp_path_factory: pytest.TempPathFactory, study_writer: Any, random_study_trials: Any) -> Path:
    """120 trials in all states, two pinned, one with a hostile note and failure."""
    trials = random_study_trials(120)
    trials[5].attributes["failure"] = HOSTILE
    folder = tmp_path_factory.mktemp("studies") / "table"
    written: Path = study_writer(folder, trials, notes={"7": HOSTILE}, pins=[3, 8], test_accuracy={"0": 0.71})
    return written


@pytest.fixture(scope="module")
def trials(table_study: Path) -> pd.DataFrame:
    """The trials as the table's fields, computed from the results."""
    table = Results.load(table_study).trials.copy()
    mixers = [[stage["mixer"]["name"] for stage in item["stages"]] for item in table["architecture"]]
    table["mixer"] = [names[-1] for names in mixers]
    table["mixers"] = [" → ".join(names) for names in mixers]
    table["blocks"] = [sum(stage["depth"] for stage in item["stages"]) for item in table["architecture"]]
    table["pinned"] = table["trial"].isin([3, 8])
    return table


@pytest.fixture
def table(opened_study: Any, table_study: Path) -> Any:
    """Opens the panel at the values of an address; afterwards no script may have failed."""
    visits = []

    def open_table(values: str = "") -> Any:
        visits.append(opened_study(table_study, f"table?{values}"))
        visits[-1].wait_for("document.querySelector('.trials thead th')")
        return visits[-1]

    yield open_table
    assert visits[0].errors == []


def passing(visit: Any, expressions: list[str]) -> list[list[int]]:
    """The numbers of the trials that pass each filter."""
    found: list[list[int]] = visit.page.evaluate(
        """(expressions) => expressions.map((text) => {
            const test = tableFilter.parse(text, app.view.study, app.view);
            return Array.from({length: app.view.study.count}, (_, trial) => trial).filter(test);
        })""",
        expressions,
    )
    return found


def shown(visit: Any) -> list[int]:
    """The trials of the rows in the document, from the top."""
    found: list[int] = visit.page.evaluate(f"[...{ROWS}].map((row) => Number(row.dataset.trial))")
    return found


FILTERS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "accuracy > .85 and macs < 5e6": lambda t: (t.accuracy > 0.85) & (t.macs < 5e6),
    "accuracy > .85 and macs < 5 M MACs": lambda t: (t.accuracy > 0.85) & (t.macs < 5e6),
    "macs >= 200k or accuracy < .75": lambda t: (t.macs >= 2e5) | (t.accuracy < 0.75),
    "state == failed": lambda t: t.state == "failed",
    "mixer in (conv, pool)": lambda t: t.mixer.isin(["conv", "pool"]),
    'mixer not in ("conv", pool) AND blocks <= 4': lambda t: ~t.mixer.isin(["conv", "pool"]) & (t.blocks <= 4),
    "not on_front": lambda t: ~t.on_front,
    "accuracy > .9 or pinned": lambda t: (t.accuracy > 0.9) | t.pinned,
    "not (accuracy > .9)": lambda t: ~(t.accuracy > 0.9),
    "failure ~ NAN": lambda t: t.failure.fillna("").str.contains("NaN"),
    "failure !~ nan": lambda t: t.failure.notna() & ~t.failure.fillna("").str.contains("NaN"),
    "trial = 7": lambda t: t.trial == 7,
    "accuracy > 80 % and feasible == yes": lambda t: (t.accuracy > 0.8) & t.feasible,
    "test_accuracy != 3": lambda t: t.test_accuracy.notna(),
    "not not (state != complete)": lambda t: t.state != "complete",
    "started > '2020-01-01 00:00'": lambda t: t.started.notna(),
    "duplicate": lambda t: t.refused.fillna("").str.contains("duplicate") | (t.state == "duplicate"),
    "pool conv": lambda t: t.mixers.str.contains("pool") & t.mixers.str.contains("conv"),
    "  ": lambda t: t.trial >= 0,
}


def test_filters_are_those_of_python(table: Any, trials: pd.DataFrame) -> None:
    visit = table()
    for text, found in zip(FILTERS, passing(visit, list(FILTERS)), strict=True):
        assert found == list(trials["trial"][FILTERS[text](trials)]), text


COMPARED: dict[str, list[Any]] = {
    "accuracy": [0.7, 0.8, 0.85], "macs": [5e4, 3e5, 2e6], "params": [4000, 20000], "blocks": [3, 4, 5],
    "mixer": ["conv", "pool", "shift"], "state": ["complete", "failed", "stopped"],
}  # fmt: skip


def random_condition(rng: random.Random, depth: int) -> tuple[str, str]:
    """A random filter, and the same as an expression of Python over the row `t`."""
    if depth == 0 or rng.random() < 0.3:
        name = rng.choice([*COMPARED, "on_front", "pinned"])
        if name not in COMPARED:
            return name, f"bool(t.{name})"
        value, text = rng.choice(COMPARED[name]), isinstance(COMPARED[name][0], str)
        operator = rng.choice(["==", "!="] if text else ["<", "<=", ">", ">=", "==", "!="])
        number = rng.choice([f"{value}", f"{value / 1000}k"]) if not text else rng.choice([value, f'"{value}"'])
        return f"{name} {operator} {number}", f"(t.{name} == t.{name} and t.{name} {operator} {value!r})"
    kind = rng.choice(["and", "or", "not"])
    left, python = random_condition(rng, depth - 1)
    if kind == "not":
        return f"not ({left})", f"(not {python})"
    right, other = random_condition(rng, depth - 1)
    return f"({left}) {kind} ({right})", f"({python} {kind} {other})"


def test_random_filters_are_those_of_python(table: Any, trials: pd.DataFrame) -> None:
    rng = random.Random(3)
    conditions = [random_condition(rng, 3) for _ in range(200)]
    rows = list(trials.itertuples())
    found = passing(table(), [text for text, _ in conditions])
    for (text, python), numbers in zip(conditions, found, strict=True):
        code = compile(python, "condition", "eval")
        assert numbers == [row.trial for row in rows if eval(code, {"t": row})], text


def test_and_binds_tighter_than_or_and_not_tightest(table: Any, trials: pd.DataFrame) -> None:
    (found,) = passing(table(), ["pinned or not on_front and accuracy > .8"])
    expected = trials.pinned | (~trials.on_front & (trials.accuracy > 0.8))
    assert found == list(trials["trial"][expected])


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("acuracy > .9", "Unknown field acuracy; did you mean accuracy?", "acuracy"),
        ("accuracy > high", "Expected a number, found high", "high"),
        ("accuracy >", "Expected a value here", "…"),
        ("(macs > 1", "This parenthesis is not closed", "("),
        ("macs > 1)", "This parenthesis was not opened", ")"),
        ("macs", "Macs needs a comparison, such as macs > 1", "macs"),
        ("macs > 1 accuracy > 2", "Expected and, or, or the end, found accuracy", "accuracy"),
        ("mixer in conv", "Expected ( after in", "conv"),
        ("state == 'failed", "This quotation has no end", "'failed"),
        ("and macs > 1", "Expected a field, found and", "and"),
        ("on_front == maybe", "Expected yes or no, found maybe", "maybe"),
        ("<img src=x> == 1", "Expected a field, found <", "<"),
    ],
)
def test_mistakes_are_shown_at_their_place(table: Any, text: str, message: str, marked: str) -> None:
    visit = table()
    visit.page.fill("#filter", text)
    visit.wait_for("!document.querySelector('#filter-error').hidden")
    visit.wait_for(f"document.querySelector('#filter-error code').textContent.startsWith({json.dumps(text[:5])})")
    error = visit.page.locator("#filter-error")
    assert error.text_content().startswith(message)
    assert error.locator("mark").text_content() == marked
    assert visit.page.locator("#filter").get_attribute("aria-invalid") == "true"
    assert visit.page.locator(".count").text_content() == "120 of 120 trials"  # the rows stay as they were


def test_the_count_and_the_rows_follow_the_filter(table: Any, trials: pd.DataFrame) -> None:
    visit = table()
    visit.page.fill("#filter", "mixer == conv and accuracy > .8")
    expected = trials[(trials.mixer == "conv") & (trials.accuracy > 0.8)]
    visit.wait_for(f"document.querySelector('.count').textContent === '{len(expected)} of 120 trials'")
    assert shown(visit) == list(expected["trial"])
    assert "filter=mixer+%3D%3D+conv" in visit.page.url
    rows = visit.page.locator("table.trials").get_attribute("aria-rowcount")
    assert rows == str(len(expected) + 1)


@pytest.mark.parametrize(("order", "ascending"), [("accuracy", True), ("-accuracy", False), ("mixers", True)])
def test_sorting_puts_missing_values_last(table: Any, trials: pd.DataFrame, order: str, ascending: bool) -> None:
    visit, name = table(f"sort={order}"), order.lstrip("-")
    expected = trials.sort_values([name, "trial"], ascending=[ascending, True], na_position="last")["trial"]
    top = shown(visit)
    assert top == list(expected)[: len(top)]
    visit.page.evaluate("document.querySelector('.table-scroll').scrollTop = 1e9")
    visit.wait_for(f"[...{ROWS}].at(-1).dataset.trial === '{expected.iloc[-1]}'")
    head = visit.page.locator(f'th:has(button[data-name="{name}"])')
    assert head.get_attribute("aria-sort") == ("ascending" if ascending else "descending")


def test_a_click_on_a_heading_sorts_the_best_first_and_then_turns(table: Any) -> None:
    visit = table()
    button = visit.page.locator('th button[data-name="accuracy"]')
    button.click()
    visit.wait_for("location.hash.includes('sort=-accuracy')")
    button.click()
    visit.wait_for("location.hash.includes('sort=accuracy')")


def test_only_visible_rows_are_in_the_document(table: Any) -> None:
    visit = table()
    assert len(shown(visit)) < 60
    visit.page.evaluate("document.querySelector('.table-scroll').scrollTop = 80 * 30")
    visit.wait_for(f"[...{ROWS}].some((row) => row.dataset.trial === '85')")
    assert 0 not in shown(visit)
    row = visit.page.locator('tr[data-trial="85"]')
    assert row.get_attribute("aria-rowindex") == "87"
    top = visit.page.evaluate("document.querySelector('.table-scroll').getBoundingClientRect().top")
    assert visit.page.locator("th").first.bounding_box()["y"] == pytest.approx(top + 1, abs=1)  # the heading stays


def test_files_hold_all_fields_of_what_is_shown(table: Any, trials: pd.DataFrame) -> None:
    visit = table("filter=accuracy > .8 or failure ~ img&sort=-macs")
    expected = trials[(trials.accuracy > 0.8) | trials.failure.fillna("").str.contains("img")]
    expected = expected.sort_values(["macs", "trial"], ascending=[False, True])
    visit.wait_for(f"document.querySelector('.count').textContent === '{len(expected)} of 120 trials'")
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="CSV").click()
    saved = pd.read_csv(download.value.path(), keep_default_na=False, na_values=[""], dtype={"id": str})
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="JSON").click()
    records = pd.DataFrame(json.loads(Path(download.value.path()).read_text(encoding="utf-8")))
    for file in (saved, records):
        assert list(file["trial"]) == list(expected["trial"])
        for name in ("accuracy", "macs", "params", "images_per_s"):
            np.testing.assert_array_equal(file[name].astype(float), expected[name])  # every digit
        for name in ("id", "failure", "mixers", "state"):
            assert file[name].fillna("").tolist() == expected[name].fillna("").tolist()
        assert file["on_front"].tolist() == expected["on_front"].tolist()
    assert download.value.suggested_filename == "digits.json"


def test_texts_of_a_study_stay_texts(table: Any) -> None:
    visit = table("filter=trial in (5, 7)&columns=trial,failure,note")
    visit.wait_for(f"{ROWS}.length === 2")
    cells = visit.page.locator('tr[data-trial="5"] td').all_text_contents()
    assert cells[:2] == ["5", HOSTILE]
    assert visit.page.locator('tr[data-trial="7"] td').nth(2).text_content().startswith(HOSTILE)
    assert visit.page.locator("main img").count() == 0
    is_writable = visit.page.evaluate("app.view.study.writable")
    assert visit.page.locator("td .star").count() == (2 if is_writable else 0)  # a report changes nothing


def test_columns_can_be_chosen_and_are_part_of_the_address(table: Any) -> None:
    visit = table()
    visit.page.locator(".menu summary").click()
    visit.page.locator('[data-column="id"]').check()
    visit.wait_for("document.querySelector('th button[data-name=id]')")
    visit.page.locator('[data-column="macs"]').uncheck()
    visit.wait_for("!document.querySelector('th button[data-name=macs]')")
    assert "columns=" in visit.page.url
    assert visit.page.locator("tr[data-trial='4']").text_content().endswith("000000000004")
    visit.page.get_by_role("button", name="Standard columns").click()
    visit.wait_for("document.querySelector('th button[data-name=macs]') && !location.hash.includes('columns=')")
    visit.page.locator(".menu summary").click()


def test_rows_are_selected_by_click_and_keys(table: Any) -> None:
    visit = table()
    visit.page.locator('tr[data-trial="4"]').click()
    visit.wait_for("location.hash.includes('trial=4')")
    visit.wait_for("document.querySelector('tr[data-trial=\"4\"]').ariaSelected === 'true'")
    visit.page.locator(".table-scroll").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        visit.page.keyboard.press(key)
    visit.wait_for("location.hash.includes('trial=5')")
    visit.page.keyboard.press("End")
    visit.wait_for("document.querySelector('tr[data-trial=\"119\"]')")
    assert visit.page.locator(".table-scroll").get_attribute("aria-activedescendant") == "row-119"


def test_the_help_names_the_fields(table: Any) -> None:
    visit = table()
    visit.page.locator(".filter-help summary").click()
    visit.wait_for("document.querySelector('.filter-help .fields code')")
    names = visit.page.locator(".filter-help .fields code").all_text_contents()
    assert {"trial", "accuracy", "macs", "mixer", "on_front", "pinned", "note", "failure"} <= set(names)
    visit.page.get_by_role("button", name="state == failed", exact=True).click()
    visit.wait_for("document.querySelector('.count').textContent === '10 of 120 trials'")
    visit.page.locator(".filter-help summary").click()


def test_an_update_keeps_scroll_and_selection(table: Any) -> None:
    visit = table("trial=60&sort=-trial")
    visit.page.evaluate(
        "app.view.source.subscribe = (key, { change }) => { window.pushChange = change; return () => {}; }; app.start()"
    )
    visit.wait_for(f"window.pushChange && {ROWS}.length")
    visit.page.evaluate("document.querySelector('.table-scroll').scrollTop = 1234")
    visit.wait_for(f"[...{ROWS}].some((row) => row.dataset.trial === '70')")
    place = "document.querySelector('tr[data-trial=\"70\"]').getBoundingClientRect().top"
    before = visit.page.evaluate(place)
    visit.page.evaluate("window.pushChange({count: 123, pins: [3, 8, 60], notes: {60: 'a note'}})")
    visit.wait_for("document.querySelector('.count').textContent === '123 of 123 trials'")
    assert visit.page.evaluate(place) == before  # three rows were inserted above
    assert visit.page.locator('tr[data-trial="60"]').get_attribute("aria-selected") == "true"
    assert "★" in visit.page.locator('tr[data-trial="60"]').text_content()


def test_stars_and_notes_where_a_server_stores_them(table: Any) -> None:
    visit = table("filter=trial < 9")
    visit.page.evaluate(
        """(() => {
            window.stored = [];
            app.view.source.setPin = (...values) => window.stored.push(values);
            app.view.source.setNote = (...values) => window.stored.push(values);
            app.view.study.writable = true;
            app.view.study.revision += 1;
            app.view.state.set({sort: "-trial"});
        })()"""
    )
    visit.wait_for(f"{ROWS}.length === 9 && document.querySelector('.star')")
    visit.page.get_by_role("button", name="Pin trial 4", exact=True).click()
    visit.page.get_by_role("button", name="Pin trial 8", exact=True).click()
    visit.page.get_by_role("button", name="Note on trial 4").click()
    visit.page.keyboard.type("good <b>")
    visit.page.keyboard.press("Enter")
    visit.page.get_by_role("button", name="Note on trial 3").click()
    visit.page.keyboard.type("no")
    visit.page.keyboard.press("Escape")
    stored = [[4, True], [8, False], [4, "good <b>"]]
    assert [values for _, *values in visit.page.evaluate("window.stored")] == stored
    assert "trial=" not in visit.page.url  # none of it selects a row


def test_an_empty_study_has_an_empty_table(opened_study: Any, empty_study: Path) -> None:
    visit = opened_study(empty_study, "table")
    visit.wait_for("document.querySelector('.count').textContent === '0 of 0 trials'")
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="CSV").click()
    assert list(pd.read_csv(io.BytesIO(Path(download.value.path()).read_bytes())))[:2] == ["trial", "accuracy"]
    assert visit.errors == []
