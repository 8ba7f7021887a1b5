"""`train.yaml`: a recipe for timm's own `train.py`, which begins where the search ended.

    python train.py --data-dir PHOTOS --config train.yaml                                         # from scratch
    python train.py --data-dir PHOTOS --config train.yaml --model local-dir:. --pretrained        # from these weights

Keys are the options of timm's `train.py`. `device_modules` is the import that registers the model with timm; a nested
`model_kwargs` is possible in a YAML file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nas.formatting import printable
from nas.models.export.class_map import CLASS_MAP_FILE
from nas.models.export.train_recipe import EMA_REMARK, recipe_options, recipe_schedule
from nas.models.export.trained_model import TrainedModel
from search_space.timm_support.entrypoint import ENTRYPOINT, default_cfg
from trainers.training.config import TrainConfig

TRAIN_FILE = "train.yaml"
LINE_LENGTH = 160


def write_train_file(trained: TrainedModel, file: Path, has_class_map: bool) -> None:
    """Write the recipe.

    Args:
        trained: the model.
        file: the file to write.
        has_class_map: whether `class_map.txt` is beside it.
    """
    source = "the short training of the search" if trained.run is None else "its full training, as far as timm has them"
    lines = [
        f"# A recipe for timm's train.py: {trained.name}, with the settings of {source}.",
        "# Run it in this folder, which is also where timm finds the class map:",
        "#   python train.py --data-dir PHOTOS --config train.yaml                                    from scratch",
        "#   python train.py --data-dir PHOTOS --config train.yaml --model local-dir:. --pretrained   from these weights",
        "# PHOTOS has the folders `train` and `validation`, each with a folder of images for each class.",
    ]
    if not has_class_map:
        lines.append(
            "# The names of the classes are not such that timm can read them from a file: its own order is used."
        )
    recipe, train_images = _recipe(trained), len(trained.images.train)
    lines.extend(f"# {remark}" for remark in _remarks(recipe, train_images))
    values = {
        **_data_options(trained, has_class_map),
        **recipe_options(recipe, trained.images.default_augment, train_images),
        "seed": (trained.seed or 0) % 2**31,
        **_model_options(trained),
    }
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=LINE_LENGTH, allow_unicode=True)
    file.write_text("\n".join(map(printable, lines)) + f"\n{text}", encoding="utf-8")


def _model_options(trained: TrainedModel) -> dict[str, Any]:
    return {
        "device_modules": ["search_space"],
        "model": ENTRYPOINT,
        "model_kwargs": {"architecture": trained.network.architecture.to_dict()},
    }


def _data_options(trained: TrainedModel, has_class_map: bool) -> dict[str, Any]:
    """Images and classes; `input_size` also says the number of channels."""
    images, cfg = trained.images, default_cfg(trained.network.architecture)
    return {
        "num_classes": images.num_classes,
        "input_size": [images.in_chans, *images.image_size],
        "mean": list(images.mean),
        "std": list(images.std),
        "crop_pct": cfg["crop_pct"],
        "interpolation": cfg["interpolation"],
        **({"class_map": CLASS_MAP_FILE} if has_class_map else {}),
    }


def _recipe(trained: TrainedModel) -> Mapping[str, Any]:
    """The training of the weights: a `RecipeConfig`, or a `TrainConfig`, whose fields have the same names."""
    if trained.run is not None:
        return trained.train_config
    return _train_config(trained.train_config).model_dump(mode="json")


def _remarks(recipe: Mapping[str, Any], train_images: int) -> list[str]:
    """What timm does otherwise."""
    remarks = recipe_schedule(recipe, train_images).remarks
    return remarks if recipe.get("ema") is None else [*remarks, EMA_REMARK]


def _train_config(plain: Mapping[str, Any]) -> TrainConfig:
    """The configuration of the training; the defaults where another version has written it."""
    try:
        return TrainConfig.model_validate(dict(plain))
    except ValidationError:
        return TrainConfig()
