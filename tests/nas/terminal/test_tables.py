"""The terminal output, rendered at 80 columns without colour and read back as text."""

# ruff: noqa: RUF001 - the multiplication sign is meant

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from rich.cells import cell_len
from rich.console import Console, RenderableType

from nas.analysis.results import Results
from nas.analysis.study_text import search_line
from nas.formatting import ratio, si
from nas.terminal.drawing import architecture_drawing
from nas.terminal.fitting_table import FittingTable
from nas.terminal.tables import front_table, sparkline, status_panel, status_record, trial_panel, trial_record
from search_space import Architecture, presets


def rendered(renderable: RenderableType, *, colour: bool = False, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=colour, color_system="truecolor" if colour else None).print(
        renderable
    )
    return stream.getvalue()


def test_the_front_is_a_row_per_trial_in_its_order(digits_study: Path) -> None:
    results = Results.load(digits_study)
    text = rendered(front_table(results), width=120)
    rows = [line.split() for line in text.splitlines() if re.match(r"\s*\d+\s", line)]
    assert [int(row[0]) for row in rows] == results.front["trial"].tolist()
    for row, record in zip(rows, results.front_records(), strict=True):
        assert row[1] == ratio(record["accuracy"])
        assert " ".join(row[2:4]).startswith(si(record["macs"]))
        assert [row[-3], row[-1]] == [stage["mixer"]["name"] for stage in record["architecture"]["stages"]]


def test_tables_fit_80_columns(digits_study: Path) -> None:
    results = Results.load(digits_study)
    for renderable in (
        front_table(results),
        status_panel(results),
        *(trial_panel(results, results.trial(n)) for n in (0, 5, 36)),
    ):
        assert max(cell_len(line) for line in rendered(renderable).splitlines()) <= 80


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_numbers_are_whole_at_any_width(tmp_path: Path, study_writer: Any, stored_trial: Any, width: int) -> None:
    names = ("accuracy", "macs", "images_per_s", "params", "latency_ms", "activation_bytes")
    values = [0.9722, 6_590_000.0, 12_345.0, 222_000.0, 8.2213, 7_490_000.0]
    results = Results.load(study_writer(tmp_path, [stored_trial(values), stored_trial(values)], objectives=names))
    text = rendered(front_table(results), width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    for number in ("0.9722", "6.59 M", "12.3 k", "222 k", "8.22", "7.49 M"):
        assert text.count(f"{number} ") + text.count(f"{number}\n") == 2, text
    assert "…" not in text
    for objective in results.objectives:
        assert objective.name in text or width == 20  # which folds the longest name


@pytest.mark.parametrize("width", [10, 80])
def test_title_and_caption_are_shown_at_any_width(width: int) -> None:
    table = FittingTable(title="A title", caption="a caption")
    for head in ("one", "two"):
        table.add_column(head, no_wrap=True)
    table.add_row("111111", "222222")
    text = rendered(table, width=width)
    assert [word for word in ("A title", "111111", "222222", "a caption") if word not in text] == []


def test_a_search_that_ended_early_says_why(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    reason = "every architecture of the space was tried (2 in all)"
    results = Results.load(study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0])], end_reason=reason))
    assert re.search(f"ended +{re.escape(reason)}", rendered(status_panel(results)))
    assert status_record(results)["end_reason"] == reason
    assert f"ended early: {reason}" in search_line(results)


def test_status_adds_up_the_trials_by_hand(digits_study: Path) -> None:
    results = Results.load(digits_study)
    record = json.loads(json.dumps(status_record(results), allow_nan=False))
    trained = 24 + 3  # complete and stopped trials: 5 s each, of it 4 s training and 0.6 s overhead, and 0.2 s idle
    assert record["trials"] == results.counts
    assert record["train_s"] == pytest.approx(4.0 * trained)
    assert record["wall_s"] == pytest.approx(5.0 * trained)
    assert record["training_share"] == pytest.approx(4 / 5.2)
    assert record["validation_share"] == pytest.approx(0.4 / 5.2)
    assert record["overhead_s_per_trial"] == pytest.approx(0.8)
    assert record["wall_s_per_trial"] == pytest.approx(5.0)
    assert record["front_size"] == len(results.front)
    assert record["best_accuracy"] == results.complete["accuracy"].max()
    assert record["name"] == "digits"
    assert record["elapsed_s"] >= 0
    text = " ".join(rendered(status_panel(results)).replace("│", " ").split())
    for part in (
        "24 complete, 1 interrupted, 3 stopped, 3 refused, 3 duplicate, 3 failed",
        "76.9 % training, 7.7 % validation, 11.5 % overhead, 3.8 % idle",
        "a trial 5.0 s",
    ):
        assert part in text


def test_status_of_a_study_without_trials(empty_study: Path) -> None:
    results = Results.load(empty_study)
    record = json.loads(json.dumps(status_record(results), allow_nan=False))
    unknown = (
        "best_trial",
        "best_accuracy",
        "elapsed_s",
        "wall_s_per_trial",
        "training_share",
        "validation_share",
        "overhead_s_per_trial",
    )
    assert all(record[key] is None for key in unknown)
    assert (record["trials"], record["front_size"], record["wall_s"]) == ({}, 0, 0.0)
    text = rendered(status_panel(results))
    assert "none yet" in text
    assert "no complete trial yet" in text


def test_one_trial_is_singular(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    results = Results.load(
        study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0], None, {"curve": [{"val_accuracy": 0.5}]})])
    )
    assert re.search(r"front +1 trial, hypervolume", rendered(status_panel(results)))
    assert "in 1 epoch " in rendered(trial_panel(results, results.trial(0)))


def test_numbers_and_counts_of_a_trial_are_integers(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    attributes = {"seed": 3_876_240_938, "retried_from": 0}
    trials = [stored_trial([0.5, 10.0, 1.0]), stored_trial([0.6, 11.0, 1.0], None, attributes)]
    results = Results.load(study_writer(tmp_path, trials))
    record = json.loads(json.dumps(trial_record(results, results.trial(1))))
    for name, value in {"trial": 1, "macs": 11, **attributes}.items():
        assert (record[name], type(record[name])) == (value, int)


def test_a_trial_tells_what_it_has_inherited(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    inherited = {"parent": 5, "file": "model.safetensors", "epochs": 7, "tensors": 20, "parameters": 0.834}
    trials = [stored_trial(None, TrialState.PRUNED, {"inherited": each}) for each in (inherited, {"parent": 5})]
    results = Results.load(study_writer(tmp_path, trials))
    shown = [rendered(trial_panel(results, results.trial(number))) for number in (0, 1)]
    assert re.search(r"inherited +83 % of the parameters from trial 5, 7 epochs", shown[0])
    assert "inherited" not in shown[1]  # damaged


def test_the_drawing_names_every_stage_size_and_option(architecture: Callable[[int], dict[str, Any]]) -> None:
    plain = architecture(1)  # attention at 4 x 4 x 32, then conv at 2 x 2 x 64
    text = rendered(architecture_drawing(plain))
    order = [
        "image", "8 × 8 × 1", "stem", "4 × 4 × 32", "conv k 2, stride 2, 1 → 32",
        "stage 1", "attention", "heads 4", "mlp", "expansion 2, groups 4 × 2", "4 × 4 × 32",
        "stage 2", "downsampling: conv k 3, stride 2, 32 → 64, batch norm", "conv", "k 5, groups depthwise", "2 × 2 × 64",
        "head", "10 classes", "batch norm", "average pool", "linear 64 → 10",
    ]  # fmt: skip
    position = 0
    for part in order:
        position = text.index(part, position) + len(part)
    assert "2 × attention" in text
    assert "\x1b" not in text
    assert "\x1b" in rendered(architecture_drawing(plain), colour=True)


def test_presets_are_drawn_within_80_columns() -> None:
    for name in ("clcnet_a", "convmixer_768_32", "lambda_resnet26t", "poolformer_s12", "swin_tiny_patch4_window7"):
        text = rendered(architecture_drawing(presets.get(name).to_dict()))
        assert max(cell_len(line) for line in text.splitlines()) <= 80
        assert "does not know" not in text


def test_the_drawing_has_the_channels_of_every_block(graph_study: Path) -> None:
    results = Results.load(graph_study)
    words = " ".join(re.sub("[│╭╮╰╯─]", " ", rendered(trial_panel(results, results.trial(0)))).split())
    assert "channels: 64 -16-> 64 -interlace-> 64 -4-> 64; full reach: yes (g1*g2 = 16*4 = 64 <= 64)" in words
    assert "channels: 64 -1-> 64 -1-> 256 -1-> 64; full reach: yes (attention is dense)" in words
    changing = {"mixer": {"name": "conv"}, "residual": "plain", "begin": "block", "downsample": 2, "width": 32}
    words = rendered(architecture_drawing(Architecture.from_dict({"stages": [changing]}).to_dict()))
    assert "channels of" not in words  # the first block only halves the map: all blocks have the same channels
    stages = [changing, changing | {"width": 64}]
    words = rendered(architecture_drawing(Architecture.from_dict({"stages": stages}).to_dict()))
    assert "channels of the first block: 32 -32-> 32 -1-> 256 -1-> 64;" in words
    assert "channels of the other blocks: 64 -64-> 64 -1-> 256 -1-> 64;" in words


def test_markup_in_names_is_shown_as_it_is(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Callable[[int], dict[str, Any]]
) -> None:
    plain = architecture(0)
    plain["stages"][0]["mixer"] = {"name": "[red]mix", "note": "[/bold]"}
    text = rendered(architecture_drawing(plain))
    assert "[red]mix" in text
    assert "[/bold]" in text
    assert "This version does not know this architecture" in text
    study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0], None, {"architecture": plain})], name="[/bold]")
    results = Results.load(tmp_path)
    for renderable in (front_table(results), status_panel(results), trial_panel(results, results.trial(0))):
        assert "[/bold]" in rendered(renderable)


def test_a_trial_of_any_state_is_shown(digits_study: Path) -> None:
    results = Results.load(digits_study)
    complete = rendered(trial_panel(results, results.trial(4)))
    assert "test accuracy" in complete
    assert "0.8200" in complete
    assert re.search(r"▁▅▇█  0\.\d{4} to 0\.\d{4} in 4 epochs", complete)
    assert "failed: loss is <NaN> at epoch 2 & ended" in rendered(trial_panel(results, results.trial(5)))
    assert "refused: limit macs: 5000 > 4000" in rendered(trial_panel(results, results.trial(7)))
    running = rendered(trial_panel(results, results.trial(36)))
    assert "interrupted" in running  # no search runs in the folder
    assert "curve" not in running


def test_the_activation_memory_and_the_device_of_a_trial_are_shown(
    tmp_path: Path, study_writer: Any, stored_trial: Any
) -> None:
    study_writer(
        tmp_path,
        [
            stored_trial([0.5, 10.0, 1.0], None, {"activation_bytes": 12_345_678, "device": "NVIDIA [b]H100"}),
            stored_trial([0.5, 10.0, 1.0]),
        ],
    )
    results = Results.load(tmp_path)
    first, second = (rendered(trial_panel(results, results.trial(number))) for number in range(2))
    assert re.search("activations +12.3 M bytes an image in training", first)
    assert re.search(r"measured on +NVIDIA \[b\]H100", first)
    assert "measured on" not in second
    assert "activations" not in second  # as in studies before activation memory was recorded


def test_a_trial_without_an_architecture_is_shown(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    study_writer(tmp_path, [stored_trial([0.5, 10.0, 1.0])])
    results = Results.load(tmp_path)
    text = rendered(trial_panel(results, results.trial(0)))
    assert "complete, on the front" in text
    assert "stage" not in text


@pytest.mark.parametrize(
    ("values", "bars"),
    [([0.0, 0.5, 1.0], "▁▅█"), ([0.3, 0.3], "▁▁"), ([None, 1.0, float("nan"), 2.0], " ▁ █"), ([], ""), ([None], "")],
)
def test_sparkline(values: list[float | None], bars: str) -> None:
    assert sparkline(values) == bars
