"""The records of full trainings: written and read back; whatever else is in their place is skipped with a remark."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.study.retrained import (
    RESULT,
    RetrainedRun,
    read_retrained,
    retrained_runs,
    run_folder,
    run_name,
)
from trainers.training.confusion import Confusion
from trainers.training.epoch import Epoch

DIGEST = "ab" * 32


def run_of(trial: int = 12, seed: int = 0) -> RetrainedRun:
    """The record of a training of two epochs."""
    epochs = [Epoch(number, 1.0 / number, 1.1, 0.7, 0.1, 1.5, 2.0) for number in (1, 2)]
    return RetrainedRun(
        name=run_name("trial", str(trial)),
        kind="trial",
        trial=trial,
        seed=seed,
        start="scratch",
        architecture_id="0123456789ab",
        macs=1_000_000,
        params=5_000,
        recipe={"epochs": 2},
        recipe_digest=DIGEST,
        fingerprint="f00d",
        epochs=tuple(epoch.to_dict() for epoch in epochs),
        val_accuracy=0.7,
        test_accuracy=2 / 3,
        test_confusion=Confusion.of(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).to_dict(),
        wall_s=4.0,
        device="cpu: a processor",
        versions={"torch": "2.15.0"},
    )


def write(root: Path, run: RetrainedRun) -> Path:
    file = run.folder(root) / RESULT
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(run.to_dict()))
    return file


def test_runs_are_read_as_they_were_written(tmp_path: Path) -> None:
    runs = [run_of(3, 1), run_of(12), run_of(3, 0)]
    for run in runs:
        write(tmp_path, run)
    assert retrained_runs(tmp_path) == (runs[1], runs[2], runs[0])
    assert read_retrained(tmp_path).remarks == ()
    assert (tmp_path / "retrained" / "trial-12" / DIGEST[:12] / "seed-0" / "result.json").is_file()
    confusion = retrained_runs(tmp_path)[0].confusion
    assert confusion is not None
    assert confusion.matrix().tolist() == [[1, 0], [1, 1]]


def test_a_study_without_full_trainings_has_none(tmp_path: Path) -> None:
    assert read_retrained(tmp_path / "missing").runs == ()
    (tmp_path / "retrained").write_text("no folder")
    assert read_retrained(tmp_path).runs == ()


def test_names_say_what_was_trained_and_from_which_start() -> None:
    baseline = replace(
        run_of(), name="timm-resnet18.a1_in1k-pretrained", kind="baseline", trial=None, start="pretrained",
        architecture_id=None, macs=None,
    )  # fmt: skip
    assert baseline.name == run_name("baseline", "resnet18.a1_in1k", "pretrained")
    assert baseline.subject == "resnet18.a1_in1k"
    assert run_of().subject == "trial 12"
    assert run_name("trial", "12", "trial") == "trial-12-finetuned"


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another trial": (
        lambda record: record | {"trial": 13},
        "trial: must be the number of the trial in the name, for a trial alone, found 13",
    ),
    "a recipe with NaN": (
        lambda record: record | {"recipe": {"lr": float("nan")}},
        "recipe: must be JSON with finite numbers",
    ),
    "no object": (lambda plain: [plain], "must be a record"),
    "a later schema": (lambda plain: plain | {"schema": 99}, "schema: must be at most 1, found 99"),
    "a key is missing": (lambda plain: {k: v for k, v in plain.items() if k != "params"}, "params are missing"),
    "another kind": (lambda plain: plain | {"kind": ["trial"]}, "kind: must be one of"),
    "a path as a name": (lambda plain: plain | {"name": "trial-../../x"}, "name: must be"),
    "a name with a control character": (lambda plain: plain | {"name": "trial-\x1b[31m"}, "name: must be"),
    "no trial": (lambda plain: plain | {"trial": None}, "trial: must be"),
    "an endless accuracy": (lambda plain: plain | {"test_accuracy": float("inf")}, "test_accuracy: must be"),
    "an accuracy of 2": (lambda plain: plain | {"val_accuracy": 2}, "val_accuracy: must be"),
    "no epochs": (lambda plain: plain | {"epochs": []}, "epochs: must be"),
    "an epoch without a loss": (lambda plain: plain | {"epochs": [{"epoch": 1}]}, "train_loss must be"),
    "a confusion of other sizes": (
        lambda plain: plain | {"test_confusion": plain["test_confusion"] | {"totals": [1]}}, "test_confusion: must be",
    ),
    "a confusion beyond the classes": (
        lambda plain: plain | {"test_confusion": plain["test_confusion"] | {"confusions": [[7, 0, 1]]}},
        "test_confusion: must be",
    ),
    "a digest that is none": (lambda plain: plain | {"recipe_digest": "../.."}, "recipe_digest: must be"),
    "negative parameters": (lambda plain: plain | {"params": -1}, "params: must be"),
    "the record of another run": (lambda plain: plain | {"seed": 5}, "is the record of another run"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "remark"), WRONG.values(), ids=WRONG.keys())
def test_a_record_that_breaks_a_rule_is_skipped_with_a_remark(
    tmp_path: Path, damage: Callable[[dict[str, Any]], Any], remark: str
) -> None:
    write(tmp_path, run_of(3))
    file = write(tmp_path, run_of(12))
    file.write_text(json.dumps(damage(run_of(12).to_dict())))
    found = read_retrained(tmp_path)
    assert found.runs == (run_of(3),)
    assert len(found.remarks) == 1
    assert remark in found.remarks[0]
    assert found.remarks[0].startswith(str(file))
    assert found.remarks[0].isprintable()


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"1" * 10_000])
def test_a_file_that_is_no_json_is_skipped_with_a_remark(tmp_path: Path, content: bytes) -> None:
    file = write(tmp_path, run_of())
    file.write_bytes(content)
    found = read_retrained(tmp_path)
    assert (found.runs, len(found.remarks)) == ((), 1)


def test_a_pipe_in_the_place_of_a_record_does_not_stop_the_reader(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "trial-1", DIGEST, 0)
    folder.mkdir(parents=True)
    os.mkfifo(folder / RESULT)
    assert len(read_retrained(tmp_path).remarks) == 1


def test_keys_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    file = write(tmp_path, run_of())
    file.write_text(json.dumps(run_of().to_dict() | {"throughput": {"cpu": 3}}))
    assert retrained_runs(tmp_path) == (run_of(),)
