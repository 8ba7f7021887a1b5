"""The panel Space in the browser: odds ratios, importance, parallel coordinates, what was never tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.analysis.columns import StudyColumns
from nas.analysis.preferences import odds_ratio, preferences
from nas.analysis.results import Results
from nas.formatting import MISSING
from nas.page.space_values import space_values
from nas.study.content import StudySnapshot
from search_space import SearchSpace


@pytest.fixture(scope="module")
def opened(opened_study: Callable[..., Any], halving_study: Path) -> Any:
    return opened_study(halving_study, "space")


def table(opened: Any, caption: str) -> list[list[str]]:
    """The cells of the table with this caption, also of one that is folded."""
    script = (
        "caption => [...document.querySelectorAll('#panel-space table')].find((table) => table.caption.textContent === caption)"
        ".tBodies[0].rows"
    )
    return opened.page.evaluate(
        f"caption => [...({script})(caption)].map((row) => [...row.cells].map((cell) => cell.textContent))", caption
    )


def test_odds_ratios_are_those_of_the_analysis(opened: Any, halving_study: Path) -> None:
    study = StudySnapshot.of(halving_study)
    columns = StudyColumns(study.info.objectives)
    columns.update(study.trials)
    codes = {key.removeprefix("param:"): column.codes.first(columns.count) for key, column in columns.choices.items()}
    levels = {key.removeprefix("param:"): column.texts for key, column in columns.choices.items()}
    expected = {(p.parameter, p.value): p for p in preferences(Results.of(study), codes, levels)}
    rows = table(opened, "Odds ratios of the front against the other complete trials")
    assert len(rows) == 8  # three mixers, two widths, three patches; the only mixer of stage 2 is no choice
    for name, stage, value, on_front, complete, ratio, interval in rows:
        preference = expected[(name if stage == MISSING else f"stages.{int(stage) - 1}.{name}", value)]
        assert (int(on_front), int(complete)) == (preference.on_front, preference.trials)
        assert float(ratio) == pytest.approx(preference.odds_ratio, rel=5e-3)
        low, high = map(float, interval.split(" to "))
        assert (low, high) == pytest.approx((preference.low, preference.high), rel=5e-3)


@pytest.mark.parametrize("counts", [(3, 1, 2, 14), (0, 5, 6, 9), (4, 0, 0, 4), (0, 0, 3, 4), (2, 3, 0, 0)])
def test_odds_ratio_of_a_table(opened: Any, counts: tuple[int, int, int, int]) -> None:
    a, b, c, d = counts  # on the front: with the value, without; elsewhere: with, without
    ratio, low, high = odds_ratio(a, c, b, d)
    drawn = opened.page.evaluate("([a, b, c, d]) => preferences.oddsRatio(a, b, c, d)", [a, b, c, d])
    assert drawn == {"ratio": pytest.approx(ratio), "low": pytest.approx(low), "high": pytest.approx(high)}


def test_odds_ratio_by_hand(opened: Any) -> None:
    drawn = opened.page.evaluate("preferences.oddsRatio(3, 1, 2, 14)")
    assert drawn["ratio"] == pytest.approx(3.5 * 14.5 / (1.5 * 2.5))
    assert drawn["high"] / drawn["ratio"] == pytest.approx(
        np.exp(1.959964 * np.sqrt(1 / 3.5 + 1 / 1.5 + 1 / 2.5 + 1 / 14.5))
    )


def test_a_cell_says_its_counts_and_interval(opened: Any) -> None:
    titles = opened.page.eval_on_selector_all(
        "#panel-space .preferences td[title]", "cells => cells.map((cell) => cell.title)"
    )
    pattern = (
        r"[\w.]+ \w+( in stage \d)?: odds [\d.]+ \(95 % interval [\d.]+ to [\d. k]+\); "
        r"\d+ of \d+ on the front, \d+ of \d+ complete trials"
    )
    assert len(titles) == 8
    assert all(re.fullmatch(pattern, title) for title in titles)


def test_blocks_by_mixer(opened: Any, halving_study: Path) -> None:
    results = Results.load(halving_study)
    counts: dict[str, float] = {}
    for architecture in results.front["architecture"]:
        for stage in architecture["stages"]:
            counts[stage["mixer"]["name"]] = counts.get(stage["mixer"]["name"], 0) + stage["depth"]
    x, y = opened.page.evaluate(
        "(() => { const {x, y} = document.querySelector('#panel-space .js-plotly-plot').data[0]; return [x, y]; })()"
    )
    drawn = {name: share for name, share in zip(x, y, strict=True) if share}
    total = sum(counts.values())
    assert drawn == {name: pytest.approx(100 * number / total) for name, number in counts.items()}


def test_importance_by_objective(opened: Any, go_to: Any) -> None:
    go_to(opened, "space")
    text = opened.page.inner_text("#panel-space")
    assert "Too few trials: 20 are complete" in text or "of the variance of unseen trials explained" in text
    opened.page.select_option("#panel-space select", "macs")
    opened.wait_for("location.hash.includes('importance=macs')")


def test_a_marked_range_highlights_lines(opened: Any, halving_study: Path, go_to: Any) -> None:
    results = Results.load(halving_study)
    accuracy = results.complete["accuracy"]
    low = float(accuracy.median())
    go_to(opened, "space", f"space.ranges=accuracy~{low}~2")
    words = opened.page.inner_text("#panel-space >> text=Within the marked ranges")
    front = int((results.front["accuracy"] >= low).sum())
    assert f"Within the marked ranges: {front} on the front, {int((accuracy >= low).sum()) - front} others." in words
    opened.page.focus("#panel-space [data-axis='param:stem.patch']")
    opened.page.keyboard.press("ArrowUp")
    opened.wait_for("decodeURIComponent(location.hash).includes('stem.patch~-0.5')")
    opened.page.click("#panel-space >> text=Clear ranges")
    opened.wait_for("!location.hash.includes('ranges')")


def test_a_range_is_marked_by_dragging(opened: Any, go_to: Any) -> None:
    go_to(opened, "space")
    grip = opened.page.locator("#panel-space [data-axis='accuracy']")
    grip.scroll_into_view_if_needed()
    box = grip.bounding_box()
    opened.page.mouse.move(box["x"] + 16, box["y"] + 40)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 16, box["y"] + 140, steps=4)
    opened.page.mouse.up()
    opened.wait_for("location.hash.includes('accuracy')")
    assert opened.page.locator("#panel-space rect.range").count() == 1


def test_share_of_the_space(opened: Any) -> None:
    assert "60 different architectures of the 4.00 k in the space (1.50 %) were proposed." in opened.page.inner_text(
        "#panel-space"
    )


def test_values_that_were_never_trained(opened: Any) -> None:
    """Trials have patch 1 (complete), 2 (stopped) and 4 (refused, so not trained); none has 8."""
    rows = opened.page.evaluate(
        """() => {
          const codes = {state: ['complete', 'stopped', 'refused'], 'param:stem.patch': ['1', '2', '4', '8']};
          const study = {
            count: 3, meta: {}, analysis: {space_values: {'param:stem.patch': codes['param:stem.patch']}},
            field: (key) => codes[key] && {codes: codes[key]}, column: () => [0, 1, 2],
          };
          const root = document.createElement('div');
          untried.mount(root, {study}).update({data: true});
          return [...root.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent));
        }"""
    )
    assert rows == [["stem.patch", MISSING, "4, 8"]]


def test_names_stay_text(opened: Any) -> None:
    assert opened.page.locator("#panel-space b").count() == 0
    opened.check_quiet()


def test_space_values_are_all_that_architectures_take() -> None:
    described = {
        "image_size": 8, "in_chans": 1, "num_stages": [1, 2], "stem": {"patch": [1, 2]},
        "stages": [{"mixer": {"conv": {"k": [3, 5]}, "pool": None}, "width": [16, 32], "depth": [1, 2]}] * 2,
    }  # fmt: skip
    space = SearchSpace.from_dict(described)
    expected: dict[str, set[str]] = {}
    for architecture in space:
        for name, value in space.encode(architecture).items():
            expected.setdefault(f"param:{name.partition('{')[0]}", set()).add(str(value))
    values = space_values(space.to_dict())
    assert values is not None
    assert {key: set(texts) for key, texts in values.items()} == expected


def test_a_space_of_another_version_has_no_values() -> None:
    assert space_values({"stages": "nothing"}) is None
    assert space_values({}) is None


def test_a_map_stays_scrolled_when_its_numbers_change(opened: Any) -> None:
    moved = opened.page.evaluate(
        """() => {
          const root = document.querySelector('#panel-space .preference-maps'), [box] = root.children;
          Object.assign(box.style, {width: '120px'});
          box.scrollLeft = 40;
          const before = box.textContent, groups = preferences.groups(app.view.study).filter(({isMain}) => isMain);
          for (const {rows} of groups) for (const row of rows) for (const cell of row.cells) cell.ratio *= 2;
          preferenceMap.draw(root, groups);
          return [root.children[0].scrollLeft, root.children[0].textContent !== before];
        }"""
    )
    assert moved == [40, True]
