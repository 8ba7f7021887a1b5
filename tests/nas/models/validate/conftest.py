"""A small model as timm saves one, and images in folders of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

import search_space  # noqa: F401  (registers the entrypoint)

CLASSES = ("bird", "cat", "dog")
SIZE = 8


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a network of ours whose weights are random."""
    architecture = {
        "image_size": [SIZE, SIZE],
        "in_chans": 3,
        "num_classes": len(CLASSES),
        "stem": {"patch": 4},
        "stages": [{"mixer": "pool", "width": 8, "depth": 1}],
    }
    folder = tmp_path_factory.mktemp("models") / "exported"
    torch.manual_seed(0)
    model = timm.create_model("mixfront", architecture=architecture)
    model.pretrained_cfg.update({"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)})
    arguments = {"architecture": model.architecture.to_dict()}
    config = {"label_names": list(CLASSES)}
    save_for_hf(model, str(folder), safe_serialization=True, model_args=arguments, model_config=config)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of each class, larger than the model takes; the folders of two classes alone."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(16):
        folder = root / CLASSES[1 + number % 2]
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return root
