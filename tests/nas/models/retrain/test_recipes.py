"""Recipes: those of the package are valid, those of users name the place of an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import ConfigError, UnknownNameError
from nas.models.retrain.named_recipes import default_recipe, load_recipe, named_recipes, resolve_augment
from trainers.data.description import DatasetInfo
from trainers.training.config import TrainConfig
from trainers.training.recipe_config import RecipeConfig


@pytest.mark.parametrize("name", named_recipes())
def test_the_recipes_of_the_package_are_valid_and_longer_than_a_proxy(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.epochs > TrainConfig().epochs
    assert recipe.ema is not None


def test_there_is_a_recipe_for_each_start() -> None:
    assert set(named_recipes()) == {"default", "long", "finetune"}
    assert default_recipe(None) == default_recipe("scratch") == "default"
    assert (load_recipe("finetune").start, load_recipe("default").start) == ("trial", "scratch")
    assert load_recipe("finetune", start="pretrained").start == "pretrained"


def test_overrides_replace_values(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 7\nmixup: 0.5\n")
    assert load_recipe(file, ["epochs=9", "lr=1e-3"]) == RecipeConfig(epochs=9, lr=1e-3, mixup=0.5)
    file.write_text("")
    assert load_recipe(file) == RecipeConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 5\nlr: fast", "mine.yaml:2:1: lr: .*found fast"),
        ("epochs: 5\n  lr: 1", "mine.yaml:2:5: not YAML"),
        ("epoch: 5", "mine.yaml:1:1: epoch: no such key.*did you mean epochs"),
        ("epochs: true", "mine.yaml:1:1: epochs: must be a whole number, found true"),
        ("distillation: {weigth: 1}", r"mine.yaml:1:16: distillation.weigth: no such key"),
        ("optimizer: timm:adamwq", "mine.yaml:1:1: optimizer: .*adamwq"),
        ("[1, 2]", "mine.yaml:1:1: a recipe must be a mapping"),
        ("!!python/object/apply:os.system [ls]", "mine.yaml:1:1: not YAML"),
    ],
)
def test_an_error_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(file)


def test_an_override_that_breaks_a_rule_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^epochs=0: input should be greater than or equal to 1, found 0"):
        load_recipe("default", ["epochs=0"])


def test_a_recipe_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"--recipe: no such recipe or file .*did you mean default"):
        load_recipe("defualt")
    with pytest.raises(ConfigError, match="a recipe is a YAML file: no such file"):
        load_recipe(tmp_path / "missing.yaml")


def test_an_augmentation_that_is_not_named_suits_the_images(images: DatasetInfo) -> None:
    assert resolve_augment(RecipeConfig(), images).augment == "none"  # digits must not be mirrored
    assert resolve_augment(RecipeConfig(), replace(images, default_augment="flip")).augment == "standard"
    assert resolve_augment(RecipeConfig(augment="none"), images).augment == "none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["momentum=0.9"], "momentum=0.9: must be absent with the optimizer 'adamw' (see betas), found 0.9"),
        (["batch_size=8", "accumulate=8"], "accumulate=8: must leave 2 images or more in a part of a batch, found 8"),
        (
            ["schedule_options.decay_rate=0.5"],
            "schedule_options.decay_rate=0.5: must be options of the schedule 'cosine'",
        ),
    ],
)
def test_a_rule_of_keys_together_names_the_override(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("default", words)
    place, _, rule = message.partition(": ")
    assert str(caught.value).startswith(f"{place}: ")
    assert rule in str(caught.value)
    assert ": : " not in str(caught.value)
