from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from trainers.errors import RecipeError
from trainers.training.recipe_check import check_recipe
from trainers.training.recipe_config import RecipeConfig


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"epochs": 0}, "epochs\n"),
        ({"batch_size": 1}, "batch_size\n  Input should be greater than or equal to 2"),
        ({"batch_size": 8, "accumulate": 5}, "accumulate: must leave 2 images or more in a part of a batch, found 5"),
        ({"lr": float("inf")}, "lr\n"),
        ({"momentum": 0.9}, "momentum: must be absent with the optimizer 'adamw' (see betas), found 0.9"),
        ({"betas": (0.9, 1.0)}, "betas: must be at least 0 and below 1, found [0.9, 1.0]"),
        ({"betas": (0.9, 0.9, 0.9)}, "betas: must be two with the optimizer 'adamw'"),
        ({"optimizer_options": {"eps": 1e-6}}, "optimizer_options: must be empty with the optimizer 'adamw'"),
        ({"layer_decay": 1.5}, "layer_decay\n"),
        ({"schedule": "stp"}, "schedule\n  Input should be 'cosine', 'onecycle'"),
        (
            {"schedule_options": {"min_lr": 0.1}},
            "schedule_options: must be options of the schedule 'cosine', found min_lr",
        ),
        ({"schedule": "plateau", "schedule_options": {"k_decay": 1}}, "schedule 'plateau', found k_decay"),
        (
            {"schedule": "plateau", "validate_every": 2},
            "validate_every: must be 1 with the schedule 'plateau', found 2",
        ),
        ({"schedule": "multistep"}, "schedule_options.decay_milestones: must be given with the schedule 'multistep'"),
        (
            {"augment": "heavy"},
            "augment: must be one of none, flip, shift, standard, strong, or timm:POLICY, found 'heavy'",
        ),
        ({"random_erasing": 1.5}, "random_erasing\n"),
        ({"image_size_schedule": {"start": 1.0}}, "image_size_schedule.start\n"),
        ({"distillation": {"kind": "medium"}}, "distillation.kind\n"),
        ({"drop_path": 1.0}, "drop_path\n"),
        ({"optimiser": "sgd"}, "optimiser\n  Extra inputs are not permitted"),
    ],
)
def test_invalid_fields_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RecipeConfig.model_validate(fields)
    assert said in str(caught.value)


def test_it_is_frozen() -> None:
    with pytest.raises(ValidationError):
        RecipeConfig().epochs = 3  # type: ignore[misc]


def test_the_digest_is_that_of_its_json() -> None:
    recipe = RecipeConfig.model_validate({"image_size_schedule": {}, "betas": [0.9, 0.95], "optimizer": "lion"})
    plain = json.loads(recipe.model_dump_json())
    assert recipe.digest() == hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    assert RecipeConfig.model_validate(plain) == recipe
    others = [recipe.model_copy(update=change) for change in ({"epochs": 7}, {"start": "trial"}, {"augment": "none"})]
    assert len({recipe.digest(), *(other.digest() for other in others)}) == 4


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"optimizer": "lookahead_lion", "betas": [0.9, 0.95]},
        {"optimizer": "timm:AdamW", "optimizer_options": {"amsgrad": True}},
        {"augment": "timm:3augment", "schedule": "timm:cosine", "schedule_options": {"min_lr": 1e-5}},
    ],
)
def test_names_that_timm_knows(fields: dict[str, Any]) -> None:
    check_recipe(RecipeConfig.model_validate(fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimizer": "sdg"}, "optimizer: must be .*did you mean .*sgd"),
        ({"optimizer": "lion", "optimizer_options": {"alpha": 1}}, "optimizer_options.alpha: must be an option"),
        ({"augment": "timm:rand-z1"}, "augment: must be a policy of timm's"),
        ({"schedule": "rsqrt", "schedule_options": {"decay_epochs": 900}}, "schedule_options: must be options"),
    ],
)
def test_names_that_timm_does_not_know(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        check_recipe(RecipeConfig.model_validate(fields))
