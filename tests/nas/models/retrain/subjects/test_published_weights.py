"""Weights that timm publishes, from a cache of downloads that the test fills; and teachers from a folder."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nas import Study
from nas.errors import UsageError
from nas.models.retrain.subjects import preset_weights as published
from nas.models.retrain.subjects.teachers import find_teacher
from nas.models.retrain.subjects.timm_models import ImageShape, obtain_weights
from nas.models.retrain.training.networks import load_teacher
from search_space import build, presets
from trainers.data.dataset import load
from trainers.data.description import DatasetInfo

SHAPE = ImageShape(1, (8, 8), 10)


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """Timm, which takes seconds to import."""
    import timm

    return timm


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of downloads of a machine that is offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def download(timm: ModuleType, name: str, cache: Path) -> nn.Module:
    """Put a model's weights into the `cache` as if they had been downloaded."""
    model: nn.Module = timm.create_model(name)
    folder = cache / f"models--{timm.get_pretrained_cfg(name).hf_hub_id.replace('/', '--')}"
    (folder / "snapshots" / "1").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("1")
    save_file(model.state_dict(), folder / "snapshots" / "1" / "model.safetensors")
    return model


def test_a_baseline_begins_with_the_published_weights(timm: ModuleType, cache: Path) -> None:
    with pytest.raises(
        UsageError, match=r"test_resnet: timm's weights cannot be obtained: .*not in the cache of downloads"
    ):
        obtain_weights("test_resnet", SHAPE, {})
    model = download(timm, "test_resnet", cache).state_dict()
    begun = obtain_weights("test_resnet", SHAPE, {}).state_dict()
    same = [name for name in model if begun[name].shape == model[name].shape]
    assert len(same) >= len(model) - 3  # the first convolution and the classes fit the images
    assert all(torch.equal(begun[name], model[name]) for name in same)


def test_a_preset_begins_with_the_published_weights(
    timm: ModuleType, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "TIMM_MODELS", {"tiny": "test_vit"})  # the published ones have 20 MB and more
    model = download(timm, "test_vit", cache).state_dict()
    architecture = presets.vit(64, 6, heads=2).replace(image_size=(64, 64), num_classes=10)
    width, depth = (
        model["pos_embed"].shape[-1],
        len({name.split(".")[1] for name in model if name.startswith("blocks.")}),
    )
    stage = architecture.stages[0].replace(width=width, depth=depth)
    fc1 = model["blocks.0.mlp.fc1.weight"].shape[0]
    stage = stage.replace(channel_mixer=stage.channel_mixer.replace(expansion=fc1 / width))
    weights = published.preset_weights("tiny", architecture.replace(stages=(stage,)))
    network = build(architecture.replace(stages=(stage,)))
    network.load_state_dict(weights)
    assert torch.equal(weights["stages.0.blocks.0.mixer.qkv.weight"].squeeze(), model["blocks.0.attn.qkv.weight"])


def test_a_folder_of_timm_teaches(timm: ModuleType, searched: Path, images: DatasetInfo, tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=10, in_chans=1).eval()
    timm.models.save_for_hf(model, str(tmp_path / "teacher"), safe_serialization=True)
    teacher = find_teacher(f"local-dir:{tmp_path / 'teacher'}", searched, images)
    data = load(Study.open(searched).images())
    module = load_teacher(teacher, data).eval()
    pixels = torch.rand(2, 1, 8, 8)
    mean, std = (torch.tensor(list(model.pretrained_cfg[key])[:1]).view(1, 1, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        taught, own = module((pixels - data.mean[0]) / data.std[0]), model((pixels - mean) / std)
    assert torch.allclose(taught, own, atol=1e-4)
    timm.models.save_for_hf(
        timm.create_model("test_resnet", num_classes=7), str(tmp_path / "other"), safe_serialization=True
    )
    with pytest.raises(UsageError, match="--teacher: must have the 10 classes of the study, found 7"):
        find_teacher(f"local-dir:{tmp_path / 'other'}", searched, images)
