"""A trial in detail: parts whose costs add up, blocks, curve, intervals, failures, commands; trials without this or that."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from nas.formatting import shell_path
from nas.page.channels import MAX_PICTURES, PictureList, channel_pictures, channel_texts
from nas.page.detail import StudyContext, trial_detail
from nas.page.endings import MAX_TRACEBACK_BYTES
from nas.page.parts import known_architecture
from nas.study.database.storage import read_study
from nas.study.layout import OPERATORS, trial_folder, write_error
from nas.study.operator_table import OperatorTable, operator_times, write_tables
from search_space import Architecture, cost, presets
from search_space.operators import operators
from trainers.training.confusion import Confusion

Details = list[dict[str, Any]]
COSTS = ("macs", "fft_flops", "params", "activation_bytes")
THROUGHPUT = {"images_per_s_interval": [5000.0, 6250.0], "batch_size": 16, "precision": "float32", "clock_mhz": None}
LATENCY = {"images_per_s_interval": [500.0, 1000.0], "batch_size": 1, "precision": "float32"}


def details_of(folder: Path) -> Details:
    study = read_study(folder)
    context = StudyContext.of(folder, study.user_attrs)
    details = [trial_detail(trial, context) for trial in study.get_trials(deepcopy=False)]
    assert json.loads(json.dumps(details, allow_nan=False)) == details  # plain JSON
    return details


@pytest.fixture(scope="module")
def details(digits_study: Path) -> Details:
    return details_of(digits_study)


@pytest.mark.parametrize("name", presets.names())
def test_the_costs_of_parts_add_up_to_that_of_the_network(
    name: str, tmp_path: Path, study_writer: Any, stored_trial: Any
) -> None:
    architecture = presets.get(name)
    study_writer(tmp_path, [stored_trial([0.5, 1.0, 1.0], None, {"architecture": architecture.to_dict()})])
    (detail,) = details_of(tmp_path)
    assert [part["kind"] for part in detail["parts"]] == [
        "image",
        "stem",
        *["stage"] * len(architecture.stages),
        "head",
    ]
    assert "cost" not in detail["parts"][0]
    sums = np.array([part["cost"] for part in detail["parts"][1:]]).sum(axis=0).tolist()
    assert sums == [getattr(cost(architecture), key) for key in COSTS]


def test_parts_have_shapes_layers_and_mixers(details: Details) -> None:
    image, stem, first, second, head = details[0]["parts"]
    assert (image["size"], image["width"]) == ([8, 8], 1)
    assert (stem["size"], stem["width"], stem["layers"]) == ([4, 4], 16, [["conv", "k 2, stride 2, 1 → 16"]])
    assert (first["size"], first["width"], first["depth"], first["mixer"]) == ([4, 4], 16, 1, "conv")
    assert (second["size"], second["width"], second["depth"]) == ([2, 2], 32, 2)
    assert second["transition"] == "downsampling: conv k 3, stride 2, 16 → 32, batch norm before"
    assert (head["size"], head["width"]) == ([1, 1], 10)


def test_predicted_seconds_add_up_to_those_of_the_table(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    described = {"stages": [{"mixer": "pool"}, {"mixer": "conv", "downsample": 2}]}
    architecture = Architecture.from_dict(described)
    timed = list(operators(architecture))
    rng = random.Random(0)
    table = OperatorTable(operator_times(timed, [rng.uniform(1e-4, 1e-2) for _ in timed]), batch_size=16)
    write_tables({"images_per_s": table}, tmp_path / OPERATORS)
    study_writer(tmp_path, [stored_trial([0.5, 1.0, 1.0], None, {"architecture": architecture.to_dict()})])
    (detail,) = details_of(tmp_path)
    predicted = detail["predicted_s"]["images_per_s"]
    assert predicted["batch_size"] == 16
    assert len(predicted["seconds"]) == len(detail["parts"]) - 1
    assert sum(predicted["seconds"]) == pytest.approx(table.seconds(architecture), rel=1e-3)


def test_the_curve_has_a_list_for_each_key(details: Details) -> None:
    curve = details[0]["curve"]
    assert curve["epoch"] == [1, 2, 3, 4]
    assert curve["train_loss"] == [2.0, 1.0, 0.66667, 0.5]
    assert set(curve) == {"epoch", "train_loss", "val_loss", "val_accuracy", "wall_s"}
    assert "curve" not in details[5]


def test_epochs_without_validation_have_no_value(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    curve = [
        {"epoch": 1, "val_accuracy": None, "val_loss": None},
        {"epoch": 2, "val_accuracy": 0.123456789, "val_loss": None},
    ]
    study_writer(tmp_path, [stored_trial([0.5, 1.0, 1.0], None, {"curve": curve})])
    (detail,) = details_of(tmp_path)
    assert detail["curve"] == {"epoch": [1, 2], "val_accuracy": [None, 0.12346]}
    assert detail["architecture"] is None
    assert "parts" not in detail


def test_what_was_inherited_is_text(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    inherited = {"parent": 0, "file": "inherited.safetensors", "epochs": 1}
    study_writer(tmp_path, [stored_trial(None, None, {}), stored_trial(None, None, {"inherited": inherited})])
    first, second = details_of(tmp_path)
    assert "inherited" not in first
    assert second["inherited"] == "the weights from trial 0, 1 epoch"


def test_intervals_are_in_the_unit_of_the_objective(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    study_writer(tmp_path, [stored_trial([0.5, 1.0, 1.0], None, {"throughput": THROUGHPUT, "latency": LATENCY})])
    (detail,) = details_of(tmp_path)
    assert detail["intervals"] == {"images_per_s": [5000.0, 6250.0], "latency_ms": [1.0, 2.0]}
    assert ["throughput", "batch size 16, precision float32"] in detail["measurements"]


def test_a_failure_has_its_reason_and_the_end_of_its_traceback(
    tmp_path: Path, study_writer: Any, stored_trial: Any
) -> None:
    failed = [stored_trial(None, TrialState.FAIL, {"failure": "loss is <NaN>"}) for _ in range(3)]
    study_writer(tmp_path, failed)
    write_error(trial_folder(tmp_path, 0), "Traceback\n  <b>line</b>\nValueError: ä\n")
    lines = [f"line {number} é" for number in range(20_000)]
    write_error(trial_folder(tmp_path, 1), "\n".join(lines))
    short, long, missing = details_of(tmp_path)
    assert short["reason"] == "loss is <NaN>"
    assert short["traceback"] == "Traceback\n  <b>line</b>\nValueError: ä\n"
    note, *shown = long["traceback"].split("\n")
    assert note.startswith("... (the first ")
    assert shown == lines[-len(shown) :]
    assert MAX_TRACEBACK_BYTES - 20 < len("\n".join(shown).encode()) <= MAX_TRACEBACK_BYTES
    assert "traceback" not in missing


def test_a_refused_trial_names_the_limit_and_a_duplicate_the_first_trial(details: Details) -> None:
    assert details[7]["reason"] == "limit macs: 5000 > 4000"
    assert details[7]["limit"] == {"objective": "macs", "value": "5000", "limit": "4000"}
    assert "duplicate_of" not in details[7]
    assert details[9]["duplicate_of"] == 3
    assert "limit" not in details[9]
    assert "reason" not in details[0]
    assert "reason" not in details[36]  # still runs


def test_a_completed_trial_can_be_exported_by_its_commands(details: Details, digits_study: Path) -> None:
    commands = dict(details[0]["commands"])
    folder = shell_path(digits_study)
    assert commands["Show"] == f"nas show {folder} 0"
    assert commands["Export"] == f"nas export {folder} 0 --out model-0"
    for label in ("Export in Python", "Load with timm"):
        compile(commands[label], label, "exec")
    assert 'export(study, 0, "model-0")' in commands["Export in Python"]
    for number in (5, 7, 9, 11, 36):
        assert list(dict(details[number]["commands"])) == ["Show", "Python"]


def test_commands_quote_the_folder(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    folder = tmp_path / "my \"photos\" & 'more'"
    folder.mkdir()
    study_writer(folder, [stored_trial([0.5, 1.0, 1.0])])
    (detail,) = details_of(folder)
    commands = dict(detail["commands"])
    assert commands["Show"] == f"nas show {shell_path(folder)} 0"
    namespace: dict[str, Any] = {}
    line = next(line for line in commands["Export in Python"].splitlines() if line.startswith("study ="))
    exec(line, {"Study": type("Study", (), {"open": staticmethod(str)})}, namespace)
    assert namespace["study"] == str(folder)


def test_without_a_folder_there_are_no_commands_and_no_traceback(digits_study: Path) -> None:
    study = read_study(digits_study)
    context = StudyContext.of(None, study.user_attrs)
    detail = trial_detail(study.get_trials(deepcopy=False)[5], context)
    assert detail["reason"].startswith("loss is")
    assert "commands" not in detail
    assert "traceback" not in detail


def test_tested_trials_have_their_classes(
    tmp_path: Path, study_writer: Any, stored_trial: Any, architecture: Callable[[int], dict[str, Any]]
) -> None:
    confusion = Confusion.of(np.array([0, 0, 1, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 1, 2, 2]), 3)
    dataset = {"name": "pets", "class_names": ["cat", "<b>dog", "fox"], "num_classes": 3}
    trials = [stored_trial([0.5, 1.0, 1.0], None, {"architecture": architecture(0)}) for _ in range(2)]
    study_writer(tmp_path, trials, dataset=dataset, test_confusion={"0": confusion.to_dict()})
    tested, untested = details_of(tmp_path)
    classes = tested["classes"]
    assert classes["summary"] == "On the test split: accuracy 0.7143, balanced accuracy 0.7500, macro F1 0.6944."
    assert classes["recalls"] == [["cat", 2, 0.5], ["<b>dog", 4, 0.75], ["fox", 1, 1.0]]
    assert classes["confusions"] == [["cat", "<b>dog", 1], ["<b>dog", "fox", 1]]
    assert classes["matrix"] == [[1, 1, 0], [0, 3, 1], [0, 0, 1]]
    assert "classes" not in untested


def test_an_unknown_architecture_is_described_from_its_json(
    tmp_path: Path, study_writer: Any, stored_trial: Any
) -> None:
    unknown = {"stages": [{"mixer": {"name": "hyena", "order": 2}, "width": 8}], "num_classes": 4}
    study_writer(tmp_path, [stored_trial([0.5, 1.0, 1.0], None, {"architecture": unknown})])
    (detail,) = details_of(tmp_path)
    assert "does not know this architecture" in detail["note"]
    assert [part["title"] for part in detail["parts"]] == ["image", "stem", "stage 1", "head"]
    assert "channels" not in detail
    assert not any("cost" in part for part in detail["parts"])


def test_blocks_are_listed_once_with_their_stages_and_pictures(graph_study: Path) -> None:
    details = details_of(graph_study)
    assert [block["title"] for block in details[1]["channels"]] == ["stage 1; stage 2", "stage 3"]
    clc = details[0]["channels"][0]
    assert clc["path"] == "64 -16-> 64 -interlace-> 64 -4-> 64"
    assert clc["reach"] == "Full channel receptive field: yes (g1*g2 = 16*4 = 64 <= 64)."
    assert "outside" not in clc
    assert "squeeze-excite gate" in details[0]["channels"][1]["outside"]
    known = known_architecture(details[1]["architecture"])
    assert known is not None
    pictures = channel_pictures(known)
    assert len(pictures) == 2
    assert all(picture["data"] and picture["layout"]["meta"]["groups"] for picture in pictures)


def test_a_picture_is_drawn_once_and_only_for_the_first_blocks() -> None:
    def of_width(width: int) -> Architecture:
        return Architecture.from_dict({"stages": [{"mixer": "pool", "width": width}], "image_size": 8})

    pictures = PictureList()
    assert [pictures.add(of_width(width)) for width in (4, 6, 4)] == [[0], [1], [0]]
    for width in range(8, 8 + 2 * MAX_PICTURES, 2):
        indices = pictures.add(of_width(width))
    assert indices == [None]
    assert (len(pictures.pictures), pictures.omitted) == (MAX_PICTURES, 2)
    assert len(channel_texts(of_width(4))) == 1


def test_the_environment_is_that_of_the_search_that_started_the_trial(
    tmp_path: Path, study_writer: Any, stored_trial: Any
) -> None:
    since = ("2020-01-01T00:00:00+00:00", "2021-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00")
    environments = [{"since": moment, "mixfront": f"0.{number}"} for number, moment in enumerate(since)]
    study_writer(tmp_path, [stored_trial([0.5, 1.0, 1.0])], environments=environments)
    (detail,) = details_of(tmp_path)
    assert detail["environment"].startswith("mixfront 0.1 on")
