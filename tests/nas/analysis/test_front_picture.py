"""The picture of the front: its points are where the values are, and a browser draws it without a network."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from nas.analysis.front_picture import HEIGHT, MAX_POINTS, WIDTH, PictureAxis, front_svg, picture_objectives
from nas.analysis.notebook import front_image
from nas.analysis.results import Results
from nas.objectives import get

SVG = "{http://www.w3.org/2000/svg}"


def paths(svg: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f"{SVG}path")


def dots(path: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", path.get("d", ""))]


def test_every_complete_trial_is_a_dot_and_better_is_higher(digits_study: Path) -> None:
    results = Results.load(digits_study)
    drawn = {path.get("stroke-width"): dots(path) for path in paths(front_svg(results)) if dots(path)}
    front = results.complete[results.complete["on_front"]]
    assert len(drawn["8"]) == len(front)
    assert len(drawn["5"]) == len(results.complete) - len(front)
    heights = [y for _, y in drawn["8"]]
    assert np.argsort(heights).tolist() == np.argsort(-front["accuracy"].to_numpy()).tolist()
    widths = [x for x, _ in drawn["8"]]
    assert np.argsort(widths).tolist() == np.argsort(front["macs"].to_numpy()).tolist()
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for points in drawn.values() for x, y in points)


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (("macs", "accuracy"), ("macs", "accuracy")),
        (("accuracy", "images_per_s", "params"), ("params", "accuracy")),
        (("accuracy", "images_per_s"), ("images_per_s", "accuracy")),
        (("macs", "params"), ("params", "macs")),
    ],
)
def test_the_axes(
    tmp_path: Path, study_writer: Any, stored_trial: Any, names: tuple[str, ...], axes: tuple[str, str]
) -> None:
    trials = [stored_trial([0.5] * len(names)), stored_trial([0.5] * len(names))]  # nothing varies
    results = Results.load(study_writer(tmp_path, trials, objectives=names))
    pair = picture_objectives(results)
    assert pair is not None
    assert (pair[0].name, pair[1].name) == axes
    text = "".join(ElementTree.fromstring(front_svg(results)).itertext())
    assert f"{get(axes[0]).label}" in text
    assert "NaN" not in front_svg(results)


def test_nothing_to_draw(tmp_path: Path, study_writer: Any, stored_trial: Any, empty_study: Path) -> None:
    assert front_svg(Results.load(empty_study)) == ""
    assert front_image(Results.load(empty_study)) == ""
    single = study_writer(tmp_path, [stored_trial([0.5])], objectives=("accuracy",))
    assert front_svg(Results.load(single)) == ""


def test_ticks_are_round_and_within() -> None:
    linear = PictureAxis.of(get("accuracy"), np.array([0.61, 0.98]), 0, 100)
    assert linear.ticks() == pytest.approx([0.6, 0.7, 0.8, 0.9])
    decades = PictureAxis.of(get("macs"), np.array([3e4, 4e6]), 0, 100)
    assert decades.ticks() == [5e4, 1e5, 2e5, 5e5, 1e6, 2e6]
    assert decades.pixels(np.array([1e5, 1e6, 1e7])) == pytest.approx(
        decades.pixels(np.array([1e5])) + np.array([0, 1, 2]) * np.diff(decades.pixels(np.array([1e5, 1e6])))
    )


def test_the_staircase_bounds_what_the_front_attains(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    values = [[0.5, 10.0], [0.7, 20.0], [0.6, 30.0]]
    results = Results.load(study_writer(tmp_path, [stored_trial(v) for v in values], objectives=("accuracy", "macs")))
    line = next(path.get("d", "") for path in paths(front_svg(results)) if path.get("stroke-dasharray"))
    assert re.fullmatch(r"M[\d.]+ [\d.]+H[\d.]+V[\d.]+", line)  # to the right first: more MACs attain no less


def test_many_trials_are_thinned(digits_study: Path) -> None:
    results = Results.load(digits_study)
    copies = results.trials.loc[np.repeat(results.complete.index[~results.complete["on_front"]], 300)]

    large = replace(results, summary=copies.reset_index(drop=True))
    assert len(front_svg(large)) < 20_000
    assert max(len(dots(path)) for path in paths(front_svg(large))) == MAX_POINTS


def test_a_browser_draws_it(digits_study: Path, tmp_path: Path, browser: Any) -> None:
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.set_content(Results.load(digits_study)._repr_html_())
    size = page.evaluate(
        "(() => { const i = document.querySelector('img'); return [i.naturalWidth, i.naturalHeight]; })()"
    )
    assert size == [WIDTH, HEIGHT]
    assert [url for url in requests if not url.startswith(("about:", "data:"))] == []
    assert "24 complete trials" in page.get_by_role("img").get_attribute("alt")
    page.close()


def test_the_image_is_the_picture(digits_study: Path) -> None:
    results = Results.load(digits_study)
    encoded = re.search(r"base64,([\w+/=]+)'", front_image(results))
    assert encoded is not None
    assert base64.b64decode(encoded[1]).decode() == front_svg(results)
