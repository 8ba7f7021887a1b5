"""The module of a run: with the weights that its training begins with, or with those that it ended with.

What `create_module` makes depends on the seed and the job alone, so that a continued training begins with the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from nas.errors import StudyError, UsageError
from nas.evaluation.networks import trained_network
from nas.models.retrain.plan import RetrainJob
from nas.models.retrain.preset_weights import preset_weights
from nas.models.retrain.timm_models import ImageShape, create_timm_model, obtain_weights
from nas.models.timm_names import check_model_name
from nas.study.attribute_types import is_index
from nas.study.layout import WEIGHTS
from search_space import Architecture
from search_space.modules.network import Network
from trainers.json_text import parse_json
from trainers.training.checkpoint import load_weights
from trainers.training.image_sizes import check_image_sizes
from trainers.training.recipe_config import RecipeConfig, network_options
from trainers.training.weights_file import DamagedWeightsError, check_tensors, read_metadata

ARCHITECTURE, TIMM_MODEL, SHAPE = "architecture", "timm", "images"
"""Keys of the metadata of a run's weights: the architecture as JSON, or timm's name and the shape of the images."""

MAX_SIDE, MAX_CHANNELS, MAX_CLASSES = 4096, 1024, 1_000_000
"""Of the images of a run: what a header may say that somebody has sent. A model of timm's is made of this size."""


def create_module(job: RetrainJob, shape: ImageShape, recipe: RecipeConfig) -> nn.Module:
    """The network of `job` with the weights that its training begins with.

    Raises:
        UsageError: timm's weights cannot be obtained.
        ValueError: the recipe has stochastic depth, and the network no residual branches.
    """
    subject, options = job.subject, network_options(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        if subject.architecture is None:
            create = obtain_weights if subject.start == "pretrained" else create_timm_model
            return create(subject.source, shape, options)
        network = _network(subject.architecture, recipe)
    if job.weights_folder is not None:
        trained = trained_network(subject.architecture.to_dict(), Path(job.weights_folder))
        network.load_state_dict(trained.state_dict())
    elif subject.start == "pretrained":
        network.load_state_dict(preset_weights(subject.source, subject.architecture))
    return network


def module_metadata(job: RetrainJob, shape: ImageShape) -> dict[str, str]:
    """The metadata from which `trained_module` builds the module again."""
    if job.subject.architecture is not None:
        return {ARCHITECTURE: job.subject.architecture.to_json()}
    described = {"in_chans": shape.in_chans, "size": list(shape.size), "num_classes": shape.num_classes}
    return {TIMM_MODEL: job.subject.source, SHAPE: json.dumps(described)}


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


def check_job(job: RetrainJob, shape: ImageShape, recipe: RecipeConfig) -> None:
    """Check that the network of `job` takes the recipe's options, and that timm's weights can be obtained if it needs them.

    Raises:
        UsageError: not.
    """
    try:
        if job.subject.start == "pretrained":
            create_module(job, shape, recipe)
        elif job.subject.architecture is not None and network_options(recipe):
            with torch.device("meta"):
                _network(job.subject.architecture, recipe)
        if recipe.image_size_schedule is not None:
            module = create_module(replace(job, weights_folder=None), shape, recipe)
            check_image_sizes(
                module, "network", (shape.in_chans, *shape.size), recipe.image_size_schedule, recipe.epochs
            )
    except ValueError as error:
        raise UsageError(f"{job.subject.name}: does not fit the recipe: {error}") from None


def check_growing_images(jobs: Sequence[RetrainJob], recipe: RecipeConfig) -> None:
    """Check that no network of `jobs` is bound to the size of its images, if those of the recipe grow.

    Raises:
        UsageError: some are; the error names the parts that bind them.
    """
    if recipe.image_size_schedule is None:
        return
    architectures = {job.subject.name: job.subject.architecture for job in jobs}
    bound = {name: _bound_parts(found) for name, found in architectures.items() if found is not None}
    listed = "; ".join(f"{name}: {', '.join(parts)}" for name, parts in bound.items() if parts)
    if listed:
        rule = (
            "must be null for networks that are bound to the size of their images; image_size_schedule=null trains all"
        )
        raise UsageError(f"image_size_schedule: {rule} of them at the full size, found {listed}")


def _bound_parts(architecture: Architecture) -> list[str]:
    """The parts of a network whose weights belong to one size of images, such as `stages[2].mixer global_filter`."""
    parts = ["stem.pos_embed"] if architecture.stem.pos_embed else []
    stages = enumerate(architecture.stages)
    return parts + [f"stages[{i}].mixer {stage.mixer.name}" for i, stage in stages if stage.mixer.is_bound_to_size]


def _network(architecture: Architecture, recipe: RecipeConfig) -> Network:
    options = network_options(recipe)
    return Network(
        architecture,
        drop_rate=options.get("drop_rate", 0.0),
        drop_path_rate=options.get("drop_path_rate", 0.0),
    )
