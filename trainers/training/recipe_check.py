"""Whether timm knows what a recipe names, before there is a network or an image."""

from __future__ import annotations

from trainers.augment.timm_policy import timm_transform
from trainers.training.recipe_config import TIMM_PREFIX, RecipeConfig
from trainers.training.recipe_optimizer import check_optimizer
from trainers.training.recipe_schedule import create_schedule


def check_recipe(recipe: RecipeConfig) -> None:
    """Check the names and options that are timm's. timm is imported only where there are some.

    Raises:
        RecipeError: timm does not know one of them.
    """
    check_optimizer(recipe)
    create_schedule(recipe, steps_per_epoch=1000)
    if recipe.augment is not None and recipe.augment.startswith(TIMM_PREFIX):
        timm_transform(recipe.augment.removeprefix(TIMM_PREFIX), (0.5, 0.5, 0.5), (32, 32))
