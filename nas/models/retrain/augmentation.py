"""The augmentation of a full training where the recipe names none: more than that of the short ones of a search.

A short training underfits with more than its source's default (`TrainConfig.augment`); on photographs a long one overfits
without: 0.495 instead of 0.484 after 40 epochs on 3,340 images of CIFAR-10. Digits and characters keep their default: on
digits of 8x8 pixels "shift" cost 1.4 points after 100 epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trainers.data.description import DatasetInfo
from trainers.data.types import AugmentPolicy
from trainers.training.recipe_config import RecipeConfig

LONG_AUGMENT: Mapping[AugmentPolicy, AugmentPolicy] = MappingProxyType({"flip": "standard"})
"""The default of a source -> the policy of a long training on it; others stay."""


def resolve_augment(recipe: RecipeConfig, images: DatasetInfo) -> RecipeConfig:
    """`recipe` with the augmentation that suits `images`, if it names none."""
    if recipe.augment is not None:
        return recipe
    policy = images.default_augment
    return recipe.model_copy(update={"augment": LONG_AUGMENT.get(policy, policy)})
