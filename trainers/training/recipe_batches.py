"""The batches of a recipe."""

from __future__ import annotations

from typing import cast

from trainers.augment import Augment, Blend, Normalise
from trainers.data.dataset import Dataset
from trainers.data.types import AugmentPolicy
from trainers.training.batches import Batches
from trainers.training.recipe_config import RecipeConfig


def recipe_batches(data: Dataset, config: RecipeConfig) -> Batches:
    """The batches that `config` describes; a batch is never larger than the train split."""
    policy = config.augment or data.default_augment
    augment = Augment.of(cast(AugmentPolicy, policy), data.image_size)
    normalise = Normalise(data.mean, data.std, data.image_size[1], data.device)
    return Batches(
        data, augment, normalise, Blend(config.mixup, config.cutmix), min(config.batch_size, len(data.train))
    )
