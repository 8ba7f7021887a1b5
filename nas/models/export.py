"""A winner as an ordinary timm model: a folder with `config.json` and `model.safetensors`.

import search_space, timm
model = timm.create_model("local-dir:FOLDER", pretrained=True)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from nas.analysis import results
from nas.errors import StudyError, UsageError
from nas.evaluation.evaluator import trained_network
from nas.models.test_split import dataset_of
from nas.study.layout import trial_folder
from search_space.modules.network import Network
from search_space.timm_support.entrypoint import ENTRYPOINT

CONFIG = "config.json"


def export(study: Path, which: str, out: Path) -> int:
    """Write trial `which` (a number, or "best") of the study in the folder `study` to the folder `out`; the trial's number.

    The folder is loaded again through timm and compared before this returns.

    Raises:
        UsageError: no such trial, one that has no trained network, or a folder that holds something else.
        StudyError: the weights are gone, or what timm loads differs.
    """
    trial = results.load(study).trial(which)
    number = int(trial["trial"])
    if trial["state"] != "complete":
        raise UsageError(f"trial {number}: only a complete trial has a model, this one is {trial['state']}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: must be a folder, it is a file")
    if out.exists() and any(out.iterdir()) and not _is_ours(out):
        raise UsageError(f"{out}: must be empty, new, or an earlier export; it holds other files")
    try:
        network = trained_network(trial["architecture"], trial_folder(study, number))
    except FileNotFoundError:
        raise StudyError(f"trial {number}: its weights are gone from {trial_folder(study, number)}") from None
    except SafetensorError as error:
        raise StudyError(f"trial {number}: its weights in {trial_folder(study, number)} are damaged: {error}") from None
    _write(network, study, number, out)
    _verify(network, out)
    return number


def _write(network: Network, study: Path, number: int, out: Path) -> None:
    import timm
    from timm.models import save_for_hf

    import search_space  # noqa: F401  (makes the entrypoint known)

    dataset = dataset_of(study)
    description = network.architecture.to_dict()
    shell = timm.create_model(ENTRYPOINT, architecture=description)
    shell.load_state_dict(network.state_dict())
    shell.pretrained_cfg.update(
        {
            "mean": dataset.mean,
            "std": dataset.std,
            "label_names": list(dataset.class_names),
        }
    )
    origin = {"study": results.load(study).name, "trial": number, "id": network.architecture.id}
    save_for_hf(
        shell,
        str(out),
        safe_serialization=True,
        model_args={"architecture": description},
        model_config={"mixfront": origin},
    )


@torch.inference_mode()
def _verify(network: Network, out: Path) -> None:
    import timm

    loaded = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    shape = (2, network.in_chans, *network.architecture.image_size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    difference = float((loaded(images) - network(images)).abs().max())
    if not difference <= 1e-5:
        raise StudyError(f"{out}: the exported model differs from the trained one by {difference:g}")


def _is_ours(folder: Path) -> bool:
    try:
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("architecture") == ENTRYPOINT
