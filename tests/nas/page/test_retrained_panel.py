"""The panel Retrained in the browser: full trainings beside baselines, apart from the values of the search."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.results import Results
from nas.study.retrained import RESULT, RetrainedRun, RunKind, run_name
from trainers.training.epoch import Epoch

MISSING = "\u2013"
RECIPES = ("ab" * 32, "cd" * 32)


def write_run(
    folder: Path,
    kind: RunKind,
    name: str,
    accuracy: float,
    seed: int = 0,
    macs: int | None = 100,
    digest: str = RECIPES[0],
    images_per_s: float | None = None,
) -> Path:
    """Write the record of a training in the study in `folder`; returns its file."""
    epochs = [Epoch(number, 1.0, 1.1, accuracy / (3 - number), 0.1, 1.5, 2.0).to_dict() for number in (1, 2)]
    run = RetrainedRun(
        name=run_name(kind, name),
        kind=kind,
        trial=int(name) if kind == "trial" else None,
        seed=seed,
        start="scratch",
        architecture_id=None,
        macs=macs,
        params=50,
        recipe={"epochs": 2},
        recipe_digest=digest,
        fingerprint=str(Results.load(folder).dataset.get("fingerprint")),
        epochs=tuple(epochs),
        val_accuracy=accuracy,
        test_accuracy=accuracy - 0.01,
        test_confusion=None,
        wall_s=4.0,
        device="cpu",
        images_per_s=images_per_s,
    )
    file = run.folder(folder) / RESULT
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(run.to_dict()))
    return file


@pytest.fixture(scope="module")
def retrained_study(choice_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with choices, three trials of which were trained in full, with a baseline and a damaged record."""
    folder = tmp_path_factory.mktemp("retrained") / "choices"
    shutil.copytree(choice_study, folder)
    for trial, accuracy, macs in (("1", 0.90, 100), ("3", 0.80, 50), ("4", 0.95, 400)):
        for seed, shift in enumerate((-0.01, 0.01)):
            write_run(folder, "trial", trial, accuracy + shift, seed, macs)
    write_run(folder, "baseline", "resnet18", 0.93, macs=1000, images_per_s=4321.0)
    write_run(folder, "trial", "1", 0.5, digest=RECIPES[1])
    write_run(folder, "preset", "damaged", 0.5).write_text("{")
    return folder


@pytest.fixture(scope="module")
def opened(opened_study: Callable[..., Any], retrained_study: Path) -> Any:
    return opened_study(retrained_study, "retrained")


def rows_of(opened: Any) -> list[list[str]]:
    return [row.split("\t") for row in opened.page.locator("#panel-retrained tbody tr").all_inner_texts()]


def test_the_table_has_every_network_of_the_recipe_by_macs(opened: Any) -> None:
    rows = rows_of(opened)
    assert [row[0] for row in rows] == ["trial 3", "trial 1", "trial 4", "resnet18"]
    assert [row[1] for row in rows] == ["✓", "✓", "✓", ""]
    assert [row[4] for row in rows] == ["0.7000", "0.8300", "0.9000", MISSING]
    assert [row[5].split(" ± ")[0] for row in rows] == ["0.8000", "0.9000", "0.9500", "0.9300"]
    assert [row[6].split(" ± ")[0] for row in rows] == ["0.7900", "0.8900", "0.9400", "0.9200"]
    assert [row[7] for row in rows] == ["2", "2", "2", "1"]
    assert rows[3][8] == "4.32 k"
    assert all(row[8] == MISSING or float(row[8].split()[0]) > 0 for row in rows[:3])


def test_the_figure_names_the_networks_and_tells_whether_the_search_was_worth_it(opened: Any) -> None:
    drawn = "document.querySelector('#panel-retrained .js-plotly-plot').data"
    traces = opened.page.evaluate(f"{drawn}.map((t) => [t.name, Array.from(t.x), Array.from(t.text || [])])")
    assert traces == [
        ["front", [50, 100, 400], []],
        ["networks of the search", [100, 50, 400], ["trial 1", "trial 3", "trial 4"]],
        ["baselines of timm", [1000], ["resnet18"]],
    ]
    text = opened.page.inner_text("#panel-retrained")
    assert (
        "4 networks after the full training, 3 on the front of validation accuracy and MACs, 0 of them baselines."
        in text
    )
    assert "Kendall tau 1.00" in text
    assert "damaged" in text


def test_the_test_split_and_the_other_recipe_can_be_shown(opened: Any) -> None:
    opened.page.select_option("#panel-retrained select >> nth=1", "test")
    opened.wait_for("document.querySelector('#panel-retrained').innerText.includes('on the front of test accuracy')")
    opened.page.evaluate("state.set({split: null, recipe: '" + RECIPES[1] + "'})")
    opened.wait_for("document.querySelectorAll('#panel-retrained tbody tr').length === 1")
    assert rows_of(opened)[0][5] == "0.5000"
    opened.page.evaluate("state.set({recipe: null})")


def test_a_network_selects_its_trial(opened: Any) -> None:
    opened.page.click("#panel-retrained tbody button >> nth=0")
    opened.wait_for("location.hash.includes('trial=3')")
    opened.page.evaluate("state.set({trial: null})")
    opened.check_quiet()


def test_a_study_without_full_trainings_says_how_to_make_them(
    opened_study: Callable[..., Any], choice_study: Path
) -> None:
    opened = opened_study(choice_study, "retrained")
    assert f"nas retrain --front --study {choice_study}" in opened.page.inner_text("#panel-retrained")
    opened.check_quiet()


@pytest.mark.parametrize("front_end", ["dashboard"], indirect=True)
def test_a_training_that_ends_is_shown_at_once(
    opened_study: Callable[..., Any], choice_study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "choices"
    shutil.copytree(choice_study, folder)
    opened = opened_study(folder, "retrained")
    write_run(folder, "trial", "1", 0.9)
    opened.wait_for("document.querySelectorAll('#panel-retrained tbody tr').length === 1")
    assert rows_of(opened)[0][0] == "trial 1"
    assert not opened.errors
