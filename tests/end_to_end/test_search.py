"""A search on real images with real workers: its front, its report, its exported model, what wrong use is told."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import timm

from nas.analysis.results import Results
from nas.models.front_test_accuracy import load_images
from nas.study.database.storage import open_study
from nas.study.stored import StoredStudy
from trainers.training.evaluation import evaluate

# The other tests' studies time no operators.
SEARCH = ("search", "small.yaml", "--out", "done", "throughput.operators_s=1", "resources.workers=1")
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def done(cli: Any) -> Done:
    return cli.run(*SEARCH)


def test_search_ends_with_a_front_and_says_nothing_else(done: Done, cli: Any) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("data      digits\n")
    assert "6 complete" in done.stdout
    assert "Front of small" in done.stdout
    for word in ("ray", "Ray", "optuna", "Optuna", "Warning", "warning", "INFO"):
        assert word not in done.stdout
    trials = cli.complete("done")
    assert len(trials) == 6
    assert len({trial.user_attrs["id"] for trial in trials}) == 6
    for trial in trials:
        assert [epoch["epoch"] for epoch in trial.user_attrs["curve"]] == [1, 2, 3]
        assert trial.values[0] == trial.user_attrs["curve"][-1]["val_accuracy"]
        assert trial.values[1] == trial.user_attrs["macs"] > 0
        assert trial.values[2] == trial.user_attrs["images_per_s"] > 0
        assert 0 < trial.user_attrs["train_s"] < trial.user_attrs["wall_s"]
        assert trial.user_attrs["device"]
        assert not (cli.home / "done" / "trials" / f"{trial.number:05d}" / "checkpoint.pt").exists()


def test_same_command_again_has_nothing_to_do(done: Done, cli: Any) -> None:
    before = [(trial.number, trial.values) for trial in cli.trials("done")]
    again = cli.read(*SEARCH)
    assert again.returncode == 0
    assert "already has its 6 trials" in again.stdout
    assert [(trial.number, trial.values) for trial in cli.trials("done")] == before


def test_front_is_what_dominance_says(done: Done, cli: Any) -> None:
    records = json.loads(cli.read("front", "done", "--json").stdout)
    points = {trial.number: (-trial.values[0], trial.values[1], -trial.values[2]) for trial in cli.complete("done")}
    best = {
        number
        for number, point in points.items()
        if not any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points.values()
        )
    }
    assert {record["trial"] for record in records} == best
    wanted = {"trial", "accuracy", "macs", "params", "images_per_s", "architecture"}
    assert all(wanted <= record.keys() for record in records)
    lines = cli.read("front", "done", "--csv").stdout.splitlines()
    assert len(lines) == len(best) + 1
    assert lines[0].split(",")[:2] == ["trial", "accuracy"]


def test_status_and_show(done: Done, cli: Any) -> None:
    status = json.loads(cli.read("status", "done", "--json").stdout)
    assert status["trials"]["complete"] == 6
    assert 0 < status["training_share"] < 1
    assert status["foretold"]["images_per_s"]["trials"] == 6
    assert -1 <= status["foretold"]["images_per_s"]["kendall_tau"] <= 1
    assert "6 complete" in cli.read("status", "done").stdout
    shown = cli.read("show", "done", "best")
    assert shown.returncode == 0
    assert "stage 1" in shown.stdout


def test_exported_model_gives_the_logits_of_the_study(done: Done, cli: Any) -> None:
    exported = cli.read("export", "done", "best", "--out", "model")
    assert exported.returncode == 0, exported.stderr
    assert sorted(file.name for file in (cli.home / "model").iterdir()) == [
        *("README.md", "architecture.svg", "architecture.yaml", "class_map.txt", "config.json", "model.safetensors"),
        *("provenance.json", "train.yaml"),
    ]
    assert cli.read("export", "done", "best", "--out", "model").returncode == 0  # an export may be renewed
    study = StoredStudy.open(cli.home / "done")
    best = Results.of(study).best
    assert best is not None
    model = timm.create_model(f"local-dir:{cli.home / 'model'}", pretrained=True)
    data = load_images(study)
    assert evaluate(model, data.val, data)[1] == best["accuracy"]


def test_report_tests_the_front_once(done: Done, cli: Any) -> None:
    assert "test_accuracy" not in open_study(cli.home / "done").user_attrs  # nothing before the report looked
    first = cli.read("report", "done")
    assert first.returncode == 0, first.stderr
    page = (cli.home / "done" / "report.html").read_text()
    assert "small" in page
    tested = open_study(cli.home / "done").user_attrs["test_accuracy"]
    front = json.loads(cli.read("front", "done", "--json").stdout)
    assert set(tested) == {str(record["trial"]) for record in front}
    assert all(0 <= record["test_accuracy"] <= 1 for record in front)
    marked = dict.fromkeys(tested, -1.0)
    open_study(cli.home / "done").set_user_attr("test_accuracy", marked)
    assert cli.read("report", "done").returncode == 0
    assert open_study(cli.home / "done").user_attrs["test_accuracy"] == marked  # not measured a second time
    open_study(cli.home / "done").set_user_attr("test_accuracy", tested)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["front", "nowhere"], "nowhere: holds no study"),
        (["front", "done", "--json", "--csv"], "one of them at a time"),
        (["show", "done", "99"], "trial 99"),
        (["export", "done", "99", "--out", "x"], "trial 99"),
        (["export", "done", "best", "--out", "."], "holds other files"),
        (["search", "small.yaml", "--out", "done", "train.epochs=4"], "train.epochs=4: must stay 3"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(done: Done, cli: Any, words: list[str], message: str) -> None:
    run = cli.read(*words)
    assert run.returncode == 2
    assert run.stderr.startswith("nas: error: ")
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""
