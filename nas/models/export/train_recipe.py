"""Trainings of ours in the names of timm's `train.py`, as far as it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.models.export.train_schedule import TrainSchedule
from trainers.augment.timm_policy import ALIASES
from trainers.data.types import AugmentPolicy
from trainers.training.recipe_config import TIMM_PREFIX

_WHOLE: Mapping[str, Any] = {"scale": [1.0, 1.0], "ratio": [1.0, 1.0], "color_jitter": 0.0}
_SHIFTED: Mapping[str, Any] = {**_WHOLE, "scale": [0.77, 1.0]}  # at least seven eighths of each side
AUGMENTATIONS: Mapping[AugmentPolicy, Mapping[str, Any]] = {
    "none": {"no_aug": True},
    "flip": {**_WHOLE, "hflip": 0.5},
    "shift": {**_SHIFTED, "hflip": 0.0},
    "standard": {**_SHIFTED, "hflip": 0.5, "reprob": 0.25},
    "strong": {**_SHIFTED, "hflip": 0.5, "reprob": 0.25, "aa": "rand-m9-mstd0.5"},
}
"""Policy of a study -> options of timm's `train.py` that come close to it."""

_SAME_NAMES = ("batch_size", "lr", "weight_decay", "momentum", "layer_decay", "mixup", "cutmix")
_OTHER_NAMES = {
    "betas": "opt_betas",
    "grad_clip": "clip_grad",
    "label_smoothing": "smoothing",
    "random_erasing": "reprob",
    "drop_rate": "drop",
    "drop_path": "drop_path",
}
"""Field of a `RecipeConfig` -> option of timm's `train.py`."""
EMA_REMARK = (
    "averaged weights: at step t timm's decay is at most 1 - t^(-2/3), in the training it was (1 + t) / (10 + t)"
)


def recipe_schedule(recipe: Mapping[str, Any], train_images: int) -> TrainSchedule:
    """The schedule of a training.

    Args:
        recipe: a `RecipeConfig` or a `TrainConfig` as plain JSON, which another version may have written.
        train_images: number of images that it was trained on.
    """
    batch_size = min(int(recipe.get("batch_size", 64)), train_images)
    return TrainSchedule(
        name=str(recipe.get("schedule", "cosine")),
        lr=float(recipe["lr"]),
        epochs=int(recipe.get("epochs", 1)),
        warmup_epochs=float(recipe.get("warmup_epochs", 0)),
        steps_per_epoch=max(1, train_images // batch_size),
        details=recipe.get("schedule_options") or {},
    )


def recipe_options(recipe: Mapping[str, Any], default_augment: AugmentPolicy, train_images: int) -> dict[str, Any]:
    """The options of timm's `train.py` for a training.

    Args:
        recipe: a `RecipeConfig` or a `TrainConfig` as plain JSON, which another version may have written.
        default_augment: the augmentation policy of the images, which a recipe without one has.
        train_images: number of images that it was trained on.
    """
    options = {name: recipe[name] for name in _SAME_NAMES if recipe.get(name) is not None}
    options |= {name: recipe[field] for field, name in _OTHER_NAMES.items() if recipe.get(field) is not None}
    options["opt"] = str(recipe.get("optimizer", "adamw")).removeprefix(TIMM_PREFIX)
    if recipe.get("optimizer_options"):
        options["opt_kwargs"] = dict(recipe["optimizer_options"])
    options |= recipe_schedule(recipe, train_images).options
    if recipe.get("ema") is not None:  # without its warm-up timm has the whole decay from the third step on
        options |= {"model_ema": True, "model_ema_decay": recipe["ema"], "model_ema_warmup": True}
    policy = recipe.get("augment") or default_augment
    if policy in AUGMENTATIONS:
        reprob = options.get("reprob") or AUGMENTATIONS[policy].get("reprob", 0.0)
        return {**options, **AUGMENTATIONS[policy], "reprob": reprob}
    name = str(policy).removeprefix(TIMM_PREFIX)
    return {**options, **_SHIFTED, "hflip": 0.5, "aa": ALIASES.get(name, name)}  # as `TimmPolicy`
