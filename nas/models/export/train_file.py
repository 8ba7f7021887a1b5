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
from nas.models.export.train_recipe import AUGMENTATIONS, recipe_options, warmup_epochs
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
    values = {**_data_options(trained, has_class_map), **_training_options(trained), **_model_options(trained)}
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


def _training_options(trained: TrainedModel) -> dict[str, Any]:
    """The training of the weights in timm's names."""
    seed = (trained.seed or 0) % 2**31
    if trained.run is not None:
        return {**recipe_options(trained.train_config, trained.images.default_augment), "seed": seed}
    config = _train_config(trained.train_config)
    policy = config.augment or trained.images.default_augment
    return {
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "opt": "adamw",
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "sched": "cosine",
        "warmup_epochs": warmup_epochs(config.warmup_epochs, config.epochs),
        "cooldown_epochs": 0,
        "min_lr": 0.0,
        "smoothing": config.label_smoothing,
        **({} if config.grad_clip is None else {"clip_grad": config.grad_clip}),
        **({"mixup": config.mixup} if config.mixup else {}),
        **({"cutmix": config.cutmix} if config.cutmix else {}),
        **({} if config.ema is None else {"model_ema": True, "model_ema_decay": config.ema}),
        **AUGMENTATIONS[policy],
        "seed": seed,
    }


def _train_config(plain: Mapping[str, Any]) -> TrainConfig:
    """The configuration of the training; the defaults where another version has written it."""
    try:
        return TrainConfig.model_validate(dict(plain))
    except ValidationError:
        return TrainConfig()
