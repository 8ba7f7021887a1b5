"""What a backup holds beside the database and the files of trials."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from nas.study.backup import write_backup
from nas.study.layout import WEIGHTS
from nas.study.retrained import RESULT, RetrainedRun, retrained_runs, run_name
from trainers.training.epoch import Epoch


def test_full_trainings_are_part_of_a_backup(study_writer: Callable[..., Path], tmp_path: Path) -> None:
    folder = study_writer(tmp_path / "study")
    run = RetrainedRun(
        name=run_name("baseline", "resnet18"),
        kind="baseline",
        trial=None,
        seed=0,
        start="scratch",
        architecture_id=None,
        macs=None,
        params=50,
        recipe={"epochs": 1},
        recipe_digest="ab" * 32,
        fingerprint="f00d",
        epochs=(Epoch(1, 1.0, 1.1, 0.9, 0.1, 1.5, 2.0).to_dict(),),
        val_accuracy=0.9,
        test_accuracy=0.8,
        test_confusion=None,
        wall_s=4.0,
        device="cpu",
    )
    place = run.folder(folder)
    place.mkdir(parents=True)
    (place / RESULT).write_text(json.dumps(run.to_dict()))
    (place / WEIGHTS).write_bytes(b"weights")
    write_backup(folder, tmp_path / "copy.tar")
    with tarfile.open(tmp_path / "copy.tar") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert retrained_runs(tmp_path / "unpacked" / "copy") == (run,)
    assert (run.folder(tmp_path / "unpacked" / "copy") / WEIGHTS).read_bytes() == b"weights"
