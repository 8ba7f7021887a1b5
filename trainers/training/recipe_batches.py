"""The batches of a recipe: policies of ours on whole batches, timm's image by image, and random erasing."""

from __future__ import annotations

from typing import cast

from trainers.augment import Augment, Blend, Erasing, Normalise, TimmPolicy
from trainers.data.dataset import Dataset
from trainers.data.types import AugmentPolicy
from trainers.errors import RecipeError
from trainers.training.batches import Batches
from trainers.training.recipe_config import TIMM_PREFIX, RecipeConfig


def recipe_batches(data: Dataset, config: RecipeConfig, processes: int = 1) -> Batches:
    """The batches that `config` describes; a batch is never larger than the train split.

    Args:
        data: the images.
        config: the recipe.
        processes: number of processes that share a batch.

    Raises:
        RecipeError: timm has no such policy, or there are too few images for the parts of a batch.
    """
    size = min(config.batch_size, len(data.train))
    if size < 2 * config.accumulate * processes:
        rule = f"must leave 2 images or more in each part of a batch of {size}"
        rule += f" on each of {processes} processes" if processes > 1 else ""
        raise RecipeError("accumulate", rule, config.accumulate)
    policy = config.augment or data.default_augment
    return Batches(
        data,
        TimmPolicy.of(policy.removeprefix(TIMM_PREFIX), data.mean, data.image_size)
        if policy.startswith(TIMM_PREFIX)
        else Augment.of(cast(AugmentPolicy, policy), data.image_size),
        Normalise(data.mean, data.std, data.image_size[1], data.device),
        Blend(config.mixup, config.cutmix),
        size,
        Erasing(config.random_erasing) if config.random_erasing else None,
    )
