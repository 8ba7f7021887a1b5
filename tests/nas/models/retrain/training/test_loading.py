"""The header of a run's weights, which somebody else may have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from nas.errors import StudyError
from nas.models.retrain.training.loading import trained_module
from nas.study.layout import WEIGHTS
from trainers.training.checkpoint import save_weights


@pytest.mark.parametrize("name", ["hf-hub:somebody/model", "local-dir:/", "resnet0"])
def test_weights_that_name_no_model_of_timm_are_refused_without_a_download(name: str, tmp_path: Path) -> None:
    described = json.dumps({"in_chans": 1, "size": [8, 8], "num_classes": 10})
    save_weights(tmp_path / WEIGHTS, nn.Linear(1, 1), {"timm": name, "images": described})
    with pytest.raises(StudyError, match="its header names no network of a full training"):
        trained_module(tmp_path)


@pytest.mark.parametrize(
    "change", [{"size": [8, 10**9]}, {"in_chans": 10**9}, {"num_classes": 0}, {"size": [8, 8.5]}, {"size": 8}]
)
def test_the_shape_of_received_weights_is_bounded(change: dict[str, object], tmp_path: Path) -> None:
    described = json.dumps({"in_chans": 1, "size": [8, 8], "num_classes": 10, **change})
    save_weights(tmp_path / WEIGHTS, nn.Linear(1, 1), {"timm": "test_resnet", "images": described})
    with pytest.raises(StudyError, match="its header names no network of a full training"):
        trained_module(tmp_path)
