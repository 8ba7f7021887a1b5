"""The examples in `studies/examples`, on a small export."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[4] / "studies" / "examples"


def test_a_detector_and_a_segmentation_network_learn(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "dense_prediction.py"))["main"](f"local-dir:{model_folder}")
    detection, segmentation, boxes = capsys.readouterr().out.splitlines()
    for line, name in ((detection, "detection"), (segmentation, "segmentation")):
        first, last = line.removeprefix(f"{name}: loss ").split(" -> ")
        assert float(last) < float(first)
    assert boxes.startswith("boxes of an image: torch.Size([")


@pytest.mark.parametrize("missing", ["model/config.json", "photos/train", "photos/validation", "timm/train.py"])
def test_fine_tuning_names_what_is_missing(tmp_path: Path, missing: str) -> None:
    for place in ("model/config.json", "photos/train", "photos/validation", "timm/train.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        if place != missing:
            (tmp_path / place).mkdir()
    words = [str(EXAMPLES / "fine_tune_with_timm.sh"), *(str(tmp_path / name) for name in ("model", "photos", "timm"))]
    done = subprocess.run(["sh", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{tmp_path / missing}: is missing\n")
