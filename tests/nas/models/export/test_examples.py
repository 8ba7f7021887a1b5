"""The examples in `studies/examples`, on a small export."""

from __future__ import annotations

import runpy
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
