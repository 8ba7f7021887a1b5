"""A study whose images are files, change or go, output that cannot be written, and SIGTERM."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

EXECUTOR = "local"
FEW = (
    "trials=1",
    "train.epochs=1",
    "data.source=folder",
    "data.limit=null",
    "data.image_size=8",
    "resources.workers=1",
)


def images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for index in range(12):
            size = (8 + index % 3, 8, 3)
            Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(folder / name / f"{index}.png")


def one_line(run: Any, *parts: str) -> None:
    assert run.stdout == ""
    assert run.stderr.startswith("nas: error: ")
    assert run.stderr.count("\n") == 1
    for part in parts:
        assert part in run.stderr


def test_images_that_changed_or_went(cli: Any) -> None:
    photos, study = cli.home / "photos", cli.home / "changed"
    images(photos)
    command = ("search", "small.yaml", "--out", "changed", "data.path=photos", *FEW)
    assert cli.run(*command).returncode == 0  # which closes the database: a copy of its file is whole
    (record,) = json.loads(cli.read("front", "changed", "--json").stdout)
    assert record["architecture"]["image_size"] == [8, 8]
    assert record["architecture"]["num_classes"] == 2
    Image.new("RGB", (8, 8), (1, 2, 3)).save(photos / "cats" / "new.png")
    changed = cli.read(*command, "trials=2")
    assert changed.returncode == 2
    one_line(changed, "data.path=photos: data: must stay the images that the study started with")
    assert len(cli.complete("changed")) == 1
    (photos / "cats" / "new.png").unlink()

    for file in (study / "data").iterdir():
        file.write_bytes(b"damaged")
    lost = cli.read("report", "changed")
    assert lost.returncode == 0
    assert lost.stderr.startswith(
        "nas: no test accuracy: changed/data: the study's decoded images are missing or damaged"
    )
    assert lost.stderr.count("\n") == 1
    copied = cli.home / "copied"
    copied.mkdir()
    shutil.copy(study / "study.db", copied)
    for words in (("front", "--json"), ("status", "--json"), ("status",), ("report",)):
        run = cli.read(words[0], "copied", *words[1:])
        assert run.returncode == 0, run.stderr
    assert "trial 0" in cli.read("show", "copied", "0").stdout
    no_model = cli.read("export", "copied", "0", "--out", "no-model")
    assert no_model.returncode == 1
    one_line(no_model, "trial 0: its weights are missing from copied/trials/00000")
    assert cli.read(*command).returncode == 0
    reported = cli.read("report", "changed")
    assert reported.returncode == 0, reported.stderr
    (study / "trials" / "00000" / "model.safetensors").write_bytes(b"damaged")
    export = cli.read("export", "changed", "0", "--out", "damaged-model")
    assert export.returncode == 1
    one_line(export, "trial 0: its weights", "are damaged")
    shutil.rmtree(photos)


def test_a_file_that_is_no_image_is_named(cli: Any) -> None:
    images(cli.home / "broken")
    (cli.home / "broken" / "cats" / "none.png").write_bytes(b"no image")
    run = cli.read("fidelity", "small.yaml", "data.path=broken", *FEW[1:-1])
    assert run.returncode == 2
    one_line(run, "data.path=broken: data: ", "cats/none.png")


@pytest.mark.parametrize("out", ["a-file", "a-file/below"])
def test_search_into_what_is_no_folder(cli: Any, out: str) -> None:
    (cli.home / "a-file").write_text("x")
    run = cli.read("search", "small.yaml", "--out", out)
    assert run.returncode == 2
    one_line(run, f"{out}: must be a folder that can be written to")
    assert (cli.home / "a-file").read_text() == "x"


def test_sigterm_ends_a_search_as_ctrl_c_does(cli: Any) -> None:
    driver = cli.start("search", "small.yaml", "--out", "terminated", "trials=100", "resources.workers=1")
    cli.wait_for(1, "terminated", driver)
    errors = cli.stop(driver, signal.SIGTERM)
    assert driver.returncode == 130
    *before, last = errors.splitlines()
    assert last == "interrupted; nothing is lost: the same command continues terminated"
    assert all("the trainings write their checkpoints" in line for line in before)
