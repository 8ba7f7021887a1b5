"""The networks that a run begins with: the one that it trains, and its teacher.

What `create_module` makes depends on the seed and the job alone, so that a continued training begins with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.errors import UsageError, reason
from nas.evaluation.networks import trained_network
from nas.models.retrain.plan.jobs import RetrainJob
from nas.models.retrain.subjects.preset_weights import preset_weights
from nas.models.retrain.subjects.teachers import Teacher
from nas.models.retrain.subjects.timm_models import ImageShape, create_timm_model, obtain_weights
from nas.models.retrain.training.loading import trained_module
from search_space import Architecture
from search_space.modules.network import Network
from trainers.data.dataset import Dataset
from trainers.training.image_sizes import check_image_sizes
from trainers.training.recipe_config import RecipeConfig, network_options
from trainers.training.teacher import AdaptedTeacher


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


def load_teacher(teacher: Teacher, data: Dataset) -> nn.Module:
    """Load `teacher` for the images of `data`.

    Raises:
        StudyError: the weights of the run are damaged.
        UsageError: timm cannot load it.
    """
    if teacher.folder is not None:
        return trained_module(Path(teacher.folder))[0]
    import timm  # takes seconds

    import search_space  # noqa: F401 - registers the entrypoint of our exports

    try:
        model = timm.create_model(teacher.name, pretrained=True)
    except Exception as error:  # timm and its models raise any
        raise UsageError(f"--teacher: {teacher.name} cannot be loaded: {reason(error)}") from None
    config: dict[str, Any] = dict(model.pretrained_cfg)
    size = tuple(config["input_size"][-2:]) if config.get("fixed_input_size") else None
    return AdaptedTeacher(model, data, config.get("mean") or data.mean, config.get("std") or data.std, size)


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
