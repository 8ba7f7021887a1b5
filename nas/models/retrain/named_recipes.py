"""Recipes by name (`nas/models/retrain/recipes/NAME.yaml`) or in a user's file, with `key=value` overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from nas.errors import ConfigError, UnknownNameError
from nas.study.config_file.config_errors import check_types, config_error
from nas.study.config_file.study_file import StudyFile, read
from trainers.data.description import DatasetInfo
from trainers.data.types import AugmentPolicy
from trainers.errors import RecipeError
from trainers.training.recipe_check import check_recipe
from trainers.training.recipe_config import RecipeConfig

DEFAULT = "default"
FINETUNE = "finetune"
"""What is used where a training begins with weights."""

LONG_AUGMENT: Mapping[AugmentPolicy, AugmentPolicy] = MappingProxyType({"flip": "standard"})
"""The default augmentation of a source -> the policy of a full training on it; others stay.

A short training underfits with more than its source's default (`TrainConfig.augment`); on photographs a long one overfits
without: 0.495 instead of 0.484 after 40 epochs on 3,340 images of CIFAR-10. Digits and characters keep their default: on
digits of 8x8 pixels "shift" cost 1.4 points after 100 epochs.
"""


def named_recipes() -> dict[str, Path]:
    """The recipes of the package, by name."""
    folder = resources.files("nas.models.retrain").joinpath("recipes")
    files = [Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {file.stem: file for file in sorted(files)}


def default_recipe(start: str | None) -> str:
    """The name of the recipe for trainings that begin with `start`, if the user names none."""
    return DEFAULT if start in (None, "scratch") else FINETUNE


def load_recipe(name: str | Path, overrides: Sequence[str] = (), start: str | None = None) -> RecipeConfig:
    """The recipe `name`, or the one in the file of that name, with `overrides` such as `"epochs=50"`.

    Args:
        name: the name of a recipe, or a file.
        overrides: words of the form key.sub=value.
        start: what the training begins with, which replaces that of the recipe; None: as the recipe says.

    Raises:
        ConfigError: the file breaks a rule; the error names the line and column.
        UnknownNameError: there is no such recipe.
    """
    file = read(_find(name), overrides, RecipeConfig, kind="recipe")
    recipe = parse_recipe(file)
    if start is not None and "start" not in {path[0] for path in file.overrides}:
        recipe = recipe.model_copy(update={"start": start})
    return recipe


def resolve_augment(recipe: RecipeConfig, images: DatasetInfo) -> RecipeConfig:
    """`recipe` with the augmentation that suits `images`, if it names none."""
    if recipe.augment is not None:
        return recipe
    policy = images.default_augment
    return recipe.model_copy(update={"augment": LONG_AUGMENT.get(policy, policy)})


def parse_recipe(file: StudyFile) -> RecipeConfig:
    """Validate the recipe in `file`.

    Raises:
        ConfigError: it breaks a rule.
    """
    data = {} if file.data is None else file.data
    if not isinstance(data, dict):
        raise ConfigError(f"{file.file}:1:1", "a recipe must be a mapping, such as {epochs: 100}")
    try:
        recipe = RecipeConfig.model_validate(data)
        check_types(recipe, data, (), file)
        check_recipe(recipe)
    except ValidationError as error:
        raise config_error(error, file, RecipeConfig) from None
    except RecipeError as error:
        raise ConfigError(file.where(error.place.split(".")), str(error)) from None
    return recipe


def _find(name: str | Path) -> Path:
    path = Path(name)
    known = named_recipes()
    if str(name) in known and not path.is_file():
        return known[str(name)]
    if path.suffix or len(path.parts) > 1 or path.is_file():
        return path
    raise UnknownNameError("--recipe", "recipe or file", str(name), known)
