"""An export in timm's hands: other classes, a saved fine-tuned model, features for a pyramid, its `train.py`."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.models import load_checkpoint, save_for_hf
from timm.optim import create_optimizer_v2, optimizer_kwargs
from timm.scheduler import create_scheduler_v2, scheduler_kwargs
from torch import nn
from torchvision.ops import FeaturePyramidNetwork

PYRAMID: dict[str, Any] = {
    "stages": [
        {"mixer": "pool", "width": 8, "depth": 2},
        {"mixer": "conv", "width": 12, "depth": 1, "downsample": 2},
        {"mixer": {"name": "attention", "heads": 2}, "width": 16, "depth": 1, "downsample": 2},
    ],
    "stem": {"patch": 2},
    "image_size": [16, 24],
}
# fmt: off
OPTIONS_OF_TRAIN_PY = frozenset((
    "class_map", "num_classes", "input_size", "mean", "std", "crop_pct", "interpolation", "epochs", "batch_size", "opt",
    "lr", "weight_decay", "momentum", "opt_betas", "layer_decay", "sched", "sched_on_updates", "warmup_epochs", "warmup_prefix",
    "warmup_lr", "cooldown_epochs", "min_lr", "smoothing", "clip_grad", "mixup", "cutmix", "model_ema", "model_ema_decay",
    "model_ema_warmup", "no_aug", "scale", "ratio", "hflip",
    "color_jitter", "reprob", "aa", "drop", "drop_path", "seed", "device_modules", "model", "model_kwargs",
))
# fmt: on
"""Those that a recipe may have, by the names in timm's `train.py`."""


def save(model: nn.Module, folder: Path) -> Path:
    save_for_hf(model, str(folder), safe_serialization=True)
    return folder


def saved_arguments(folder: Path) -> dict[str, Any]:
    arguments: dict[str, Any] = json.loads((folder / "config.json").read_text())["model_args"]
    return arguments


@pytest.fixture
def changed_config(model_folder: Path, tmp_path: Path) -> Any:
    """Writes a copy of an export whose `config.json` has other values at a path."""

    def write(value: Any, *keys: str) -> Path:
        folder = Path(shutil.copytree(model_folder, tmp_path / "changed", dirs_exist_ok=True))
        config = json.loads((model_folder / "config.json").read_text())
        place = config
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return write


@pytest.mark.parametrize("pretrained", [True, False])
def test_arguments_that_contradict_the_weights_are_refused(changed_config: Any, pretrained: bool) -> None:
    folder = changed_config(7, "model_args", "num_classes")
    with pytest.raises(ValueError, match=r"config.json: model_args.num_classes must be num_classes, 10, found 7"):
        timm.create_model(f"local-dir:{folder}", pretrained=pretrained)
    folder = changed_config(7, "num_classes")
    with pytest.raises(ValueError, match=r"config.json: model_args.num_classes must be num_classes, 7, found 10"):
        timm.create_model(f"local-dir:{folder}", pretrained=pretrained)


def test_changes_on_purpose_are_none(model_folder: Path) -> None:
    name = f"local-dir:{model_folder}"
    model = timm.create_model(name, pretrained=True, num_classes=3, in_chans=3).eval()
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    same = timm.create_model(name, pretrained=True)
    trained = {key: value for key, value in model.state_dict().items() if not key.startswith(("head", "stem.proj"))}
    assert all(torch.equal(value, same.state_dict()[key]) for key, value in trained.items())


@pytest.mark.parametrize("changes", [{"num_classes": 3}, {"in_chans": 3}, {"num_classes": 3, "in_chans": 4}])
def test_a_model_that_timm_saves_again_agrees_with_itself(
    model_folder: Path, tmp_path: Path, changes: dict[str, int]
) -> None:
    model = timm.create_model(f"local-dir:{model_folder}", pretrained=True, **changes).eval()
    arguments = saved_arguments(save(model, tmp_path / "saved"))
    for key, value in changes.items():
        assert arguments[key] == arguments["architecture"][key] == value
    loaded = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True).eval()
    images = torch.rand(2, model.in_chans, 8, 8)
    assert torch.equal(loaded(images), model(images))


def test_another_head_is_saved_with_its_architecture(model_folder: Path, tmp_path: Path) -> None:
    model = timm.create_model(f"local-dir:{model_folder}", pretrained=True)
    model.reset_classifier(5)
    arguments = saved_arguments(save(model, tmp_path / "saved"))
    assert arguments["num_classes"] == arguments["architecture"]["num_classes"] == 5


def test_features_of_an_export_feed_a_pyramid(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("mixfront", architecture=PYRAMID).eval()
    name = f"local-dir:{save(model, tmp_path / 'pyramid')}"
    backbone = timm.create_model(name, pretrained=True, features_only=True).eval()
    channels, reductions = backbone.feature_info.channels(), backbone.feature_info.reduction()
    assert (channels, reductions) == ([8, 12, 16], [2, 4, 8])
    images = torch.rand(1, 3, 16, 24)
    features = backbone(images)
    expected = model.forward_intermediates(images, intermediates_only=True)
    assert all(torch.equal(found, map) for found, map in zip(features, expected, strict=True))
    pyramid = FeaturePyramidNetwork(channels, out_channels=6)
    maps = pyramid(OrderedDict((f"reduction{r}", y) for r, y in zip(reductions, features, strict=True)))
    assert {key: tuple(y.shape) for key, y in maps.items()} == {
        "reduction2": (1, 6, 8, 12),
        "reduction4": (1, 6, 4, 6),
        "reduction8": (1, 6, 2, 3),
    }
    sum(y.mean() for y in maps.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())
    last = timm.create_model(name, pretrained=True, features_only=True, out_indices=(-1,))
    assert last.feature_info.channels() == [16]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of all classes of the study in the folders that timm's `train.py` reads."""
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("validation", 20)):
        for number in range(count):
            folder = tmp_path / "photos" / split / str(number % 10)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of timm's reader
def test_the_recipe_trains_as_train_py_does(model_folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timm's functions, in the order in which its `train.py` calls them with the values of a recipe."""
    monkeypatch.chdir(model_folder)
    recipe = yaml.safe_load(Path("train.yaml").read_text())
    assert recipe.keys() <= OPTIONS_OF_TRAIN_PY
    assert recipe["device_modules"] == ["search_space"]
    args = Namespace(momentum=0.9, **recipe)
    model = timm.create_model(
        args.model, in_chans=args.input_size[0], num_classes=args.num_classes, drop_rate=0.0, **args.model_kwargs
    )
    load_checkpoint(model, "model.safetensors")  # --initial-checkpoint
    data = resolve_data_config(vars(args), model=model)
    assert data["input_size"] == (1, 8, 8)
    dataset = create_dataset(
        "", root=str(photos), split="train", is_training=True, class_map=args.class_map, input_img_mode="L"
    )
    loader = create_loader(
        dataset, data["input_size"], args.batch_size // 4, is_training=True, no_aug=args.no_aug, num_workers=0,
        mean=data["mean"], std=data["std"], interpolation=data["interpolation"], use_prefetcher=False,
        device=torch.device("cpu"),
    )  # fmt: skip
    optimizer = create_optimizer_v2(model, **optimizer_kwargs(cfg=args))
    scheduler, epochs = create_scheduler_v2(optimizer, **scheduler_kwargs(args), updates_per_epoch=len(loader))
    assert epochs == args.epochs == 1
    losses = []
    for updates, (images, labels) in enumerate(loader, start=1):
        loss = nn.functional.cross_entropy(model(images), labels, label_smoothing=args.smoothing)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), args.clip_grad)
        optimizer.step()
        losses.append(loss.item())
        scheduler.step_update(num_updates=updates)
    scheduler.step(1)
    assert len(losses) == 2
    assert np.isfinite(losses).all()
