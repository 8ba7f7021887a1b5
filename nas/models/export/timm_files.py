"""timm's files: `config.json` and `model.safetensors`, and the proof that timm loads them.

    import search_space, timm
    model = timm.create_model("local-dir:FOLDER", pretrained=True)

The names of the classes, `label_names`, are at the root of `config.json`, where timm and the Hugging Face Hub look for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nas.errors import StudyError
from nas.models.export.trained_model import TrainedModel
from search_space.modules.network import Network
from search_space.timm_support.entrypoint import ENTRYPOINT
from trainers.input_files import read_json

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
OUTPUT_TOLERANCE = (
    1e-5  # largest difference between the outputs of the trained network and of the model that timm loads
)


def write_timm_files(trained: TrainedModel, out: Path) -> None:
    """Write `config.json` and `model.safetensors` to the folder `out`."""
    import timm
    from timm.models import save_for_hf

    import search_space  # noqa: F401  (registers the entrypoint)

    network, images = trained.network, trained.images
    model = timm.create_model(ENTRYPOINT, architecture=network.architecture.to_dict())
    model.load_state_dict(network.state_dict())
    model.pretrained_cfg.update({"mean": images.mean, "std": images.std})
    origin = {"study": trained.study.name, "trial": trained.trial, "id": network.architecture.id}
    save_for_hf(
        model,
        str(out),
        safe_serialization=True,
        model_args={"architecture": network.architecture.to_dict()},
        model_config={"label_names": list(images.class_names), "mixfront": origin},
    )


@torch.inference_mode()
def verify_timm_files(network: Network, out: Path) -> float:
    """Load the folder `out` through timm; returns the largest difference of an output from `network`'s.

    Raises:
        StudyError: it is larger than `OUTPUT_TOLERANCE`.
    """
    import timm

    model: Any = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    shape = (2, network.in_chans, *network.architecture.image_size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    difference = float((model(images) - network(images)).abs().max())
    if not difference <= OUTPUT_TOLERANCE:
        raise StudyError(f"{out}: the exported model differs from the trained one by {difference:g}")
    return difference


def is_export(folder: Path) -> bool:
    """True if `folder` holds an export of this project."""
    try:
        config = read_json(folder / CONFIG_FILE)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("architecture") == ENTRYPOINT
