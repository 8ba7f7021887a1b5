"""The networks of full trainings that have ended, for export, evaluation and distillation.

The header of a run's weights says whose they are, and from what the module is built again (`weights_metadata`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from nas.errors import StudyError, UsageError
from nas.models.retrain.subjects.subject import Subject
from nas.models.retrain.subjects.timm_models import ImageShape, create_timm_model
from nas.models.timm_names import check_model_name
from nas.study.attribute_types import is_index
from nas.study.layout import WEIGHTS
from nas.study.retrained import RetrainedRun
from search_space import Architecture
from search_space.modules.network import Network
from trainers.json_text import parse_json
from trainers.training.checkpoint import load_weights
from trainers.training.weights_file import DamagedWeightsError, check_tensors, read_metadata

NAME, DIGEST, SEED = "run", "recipe_digest", "seed"
"""Keys of the metadata of a run's weights, by which they are known as those of the run."""
ARCHITECTURE, TIMM_MODEL, SHAPE = "architecture", "timm", "images"
"""Keys of the metadata of a run's weights: the architecture as JSON, or timm's name and the shape of the images."""

MAX_SIDE, MAX_CHANNELS, MAX_CLASSES = 4096, 1024, 1_000_000
"""Of the images of a run: what a header may say that somebody has sent. A model of timm's is made of this size."""


def load_retrained(study: Path, run: RetrainedRun) -> nn.Module:
    """Load the network that `run` has trained, in evaluation mode: a `Network`, or a model of timm for a baseline.

    Args:
        study: the folder of the study, or that of `--out`.
        run: one of `nas.study.retrained.retrained_runs(study)`.

    Raises:
        StudyError: the weights are missing, damaged, or those of another run.
    """
    folder = run.folder(study)
    module, metadata = trained_module(folder)
    for key, value in ((NAME, run.name), (DIGEST, run.recipe_digest), (SEED, str(run.seed))):
        if metadata.get(key) != value:
            rule = f"the weights must be those of the run: {key} {value}, found {metadata.get(key)}"
            raise StudyError(f"{folder}: {rule}")
    return module


def retrained_network(study: Path, run: RetrainedRun) -> Network:
    """Load the network that `run` has trained, which is no baseline of timm's, in evaluation mode.

    Raises:
        UsageError: it is a baseline.
        StudyError: as `load_retrained`.
    """
    if run.kind == "baseline":
        raise UsageError(f"{run.name}: is a model of timm, which has no architecture of the search space")
    module = load_retrained(study, run)
    if not isinstance(module, Network) or module.architecture.id != run.architecture_id:
        raise StudyError(f"{run.folder(study)}: the weights must be those of the architecture {run.architecture_id}")
    return module


def weights_metadata(run: RetrainedRun, subject: Subject, shape: ImageShape) -> dict[str, str]:
    """What the header of the weights of `run` says: whose they are, and from what `trained_module` builds the module."""
    metadata = {NAME: run.name, DIGEST: run.recipe_digest, SEED: str(run.seed)}
    if subject.architecture is not None:
        return metadata | {ARCHITECTURE: subject.architecture.to_json()}
    described = {"in_chans": shape.in_chans, "size": list(shape.size), "num_classes": shape.num_classes}
    return metadata | {TIMM_MODEL: subject.source, SHAPE: json.dumps(described)}


def trained_module(folder: Path) -> tuple[nn.Module, Mapping[str, str]]:
    """The module that the run in `folder` has trained, in evaluation mode, and the metadata of its weights.

    Raises:
        StudyError: the weights are missing, damaged, or those of no such run.
    """
    file = folder / WEIGHTS
    try:
        check_tensors(file)
        metadata = read_metadata(file)
        module = _empty_module(metadata)
        module.load_state_dict(load_weights(file))
    except FileNotFoundError:
        raise StudyError(f"{file}: the weights of this run are missing") from None
    except (DamagedWeightsError, SafetensorError, RuntimeError) as error:
        raise StudyError(f"{file}: is damaged: {error}") from None
    except (LookupError, TypeError, ValueError) as error:
        raise StudyError(f"{file}: its header names no network of a full training ({error})") from None
    return module.eval(), metadata


def _empty_module(metadata: Mapping[str, str]) -> nn.Module:
    if ARCHITECTURE in metadata:
        return Network(Architecture.from_json(metadata[ARCHITECTURE]))
    shape = _shape(parse_json(metadata[SHAPE]))
    name = metadata[TIMM_MODEL]
    try:
        check_model_name(name, TIMM_MODEL)  # timm would download what "hf-hub:..." names, or read "local-dir:..."
    except UsageError as error:
        raise ValueError(str(error)) from None
    return create_timm_model(name, shape)


def _shape(plain: Any) -> ImageShape:
    """The shape of images in the header of a file that somebody may have sent.

    Raises:
        ValueError: a number is out of its range.
    """
    (height, width), in_chans, num_classes = plain["size"], plain["in_chans"], plain["num_classes"]
    for name, value, most in (
        ("size", height, MAX_SIDE),
        ("size", width, MAX_SIDE),
        ("in_chans", in_chans, MAX_CHANNELS),
        ("num_classes", num_classes, MAX_CLASSES),
    ):
        if not is_index(value) or not 1 <= value <= most:
            raise ValueError(f"{name}: must be from 1 to {most:,}, found {value!r:.40}")
    return ImageShape(in_chans, (height, width), num_classes)
