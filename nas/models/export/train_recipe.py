"""Trainings of ours in the names of timm's `train.py`, as far as it has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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

_SAME_NAMES = ("epochs", "batch_size", "lr", "weight_decay", "momentum", "layer_decay", "mixup", "cutmix")
_OTHER_NAMES = {
    "betas": "opt_betas",
    "grad_clip": "clip_grad",
    "label_smoothing": "smoothing",
    "random_erasing": "reprob",
    "drop_rate": "drop",
    "drop_path": "drop_path",
}
"""Field of a `RecipeConfig` -> option of timm's `train.py`."""
_SCHEDULES = ("cosine", "step", "multistep", "poly", "tanh", "wsd", "rsqrt", "constant", "plateau")
"""Of timm; a training with another one becomes one with "cosine"."""
_SCHEDULE_OPTIONS = {
    **{name: name for name in ("decay_rate", "decay_epochs", "decay_milestones", "patience_epochs")},
    **{name: name for name in ("min_lr", "warmup_lr")},
    **{name: f"lr_{name}" for name in ("noise", "noise_pct", "noise_std", "k_decay", "decay_fn", "stable_timescale")},
}
"""Field of `ScheduleOptions` -> option of timm's `train.py`, which takes the seed of the noise from that of the training."""


def warmup_epochs(fraction: float, epochs: int) -> int:
    """Whole epochs of warm-up, at most half of all."""
    return min(math.ceil(fraction), epochs // 2)


def recipe_options(recipe: Mapping[str, Any], default_augment: AugmentPolicy) -> dict[str, Any]:
    """The options of timm's `train.py` for a full training.

    Args:
        recipe: a `trainers.training.recipe_config.RecipeConfig` as plain JSON, which another version may have written.
        default_augment: the augmentation policy of the images, which a recipe without one has.
    """
    options = {name: recipe[name] for name in _SAME_NAMES if recipe.get(name) is not None}
    options |= {name: recipe[field] for field, name in _OTHER_NAMES.items() if recipe.get(field) is not None}
    options["opt"] = str(recipe.get("optimizer", "adamw")).removeprefix(TIMM_PREFIX)
    schedule = str(recipe.get("schedule", "cosine")).removeprefix(TIMM_PREFIX)
    options["sched"] = schedule if schedule in _SCHEDULES else "cosine"
    details = recipe.get("schedule_options") or {}
    options |= {name: details[field] for field, name in _SCHEDULE_OPTIONS.items() if details.get(field) is not None}
    if recipe.get("optimizer_options"):
        options["opt_kwargs"] = dict(recipe["optimizer_options"])
    epochs = int(options.get("epochs", 1))
    options |= {"warmup_epochs": warmup_epochs(float(recipe.get("warmup_epochs", 0)), epochs), "cooldown_epochs": 0}
    ema = recipe.get("ema")
    options |= {} if ema is None else {"model_ema": True, "model_ema_decay": ema}
    policy = recipe.get("augment") or default_augment
    if policy in AUGMENTATIONS:
        reprob = options.get("reprob") or AUGMENTATIONS[policy].get("reprob", 0.0)
        return {**options, **AUGMENTATIONS[policy], "reprob": reprob}
    name = str(policy).removeprefix(TIMM_PREFIX)
    return {**options, **_SHIFTED, "hflip": 0.5, "aa": ALIASES.get(name, name)}  # as `TimmPolicy`
