"""timm finds the entrypoint `mixfront` whichever is imported first, and keeps its promises for it: arguments, features, files."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from search_space import Architecture, build
from search_space.timm_support.entrypoint import register_when_imported

ARCHITECTURE: dict[str, Any] = {
    "stages": [
        {"mixer": "conv", "width": 12, "depth": 1},
        {"mixer": {"name": "lambda", "context": "global"}, "width": 24, "depth": 1, "downsample": 2},
        {"mixer": "global_filter", "width": 24, "depth": 1},
    ],
    "stem": {"patch": 2, "pos_embed": True},
    "image_size": [8, 12],
    "in_chans": 1,
    "num_classes": 7,
}


def python(code: str) -> str:
    """What `code` prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    """Timm, which takes seconds to import, and only here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
        import timm.models

    return timm


@pytest.mark.parametrize("imports", ["search_space, timm", "timm, search_space"])
def test_the_entrypoint_is_registered_in_either_order_of_imports(imports: str) -> None:
    model = f"timm.create_model('mixfront', architecture={ARCHITECTURE})"
    assert python(f"import {imports}; print(timm.is_model('mixfront'), {model}.num_classes)") == "True 7"


def test_importing_search_space_imports_neither_timm_nor_torch() -> None:
    code = "import sys, search_space; print([name for name in ('timm', 'torch', 'torchvision') if name in sys.modules])"
    assert python(code) == "[]"


def test_registering_again_changes_nothing(timm: ModuleType) -> None:
    before = list(sys.meta_path)
    register_when_imported()
    assert sys.meta_path == before
    assert timm.list_models("mixfront*") == ["mixfront"]


def test_create_model_builds_the_architecture(timm: ModuleType) -> None:
    torch.manual_seed(0)
    model = timm.create_model("mixfront", architecture=ARCHITECTURE).eval()
    torch.manual_seed(0)
    same = build(Architecture.from_dict(ARCHITECTURE)).eval()
    x = torch.randn(2, 1, 8, 12)
    assert torch.equal(model(x), same(x))
    assert model.pretrained_cfg["input_size"] == (1, 8, 12)
    assert model.default_cfg["classifier"] == "head"
    assert dict(model.named_modules())[model.pretrained_cfg["first_conv"]].in_channels == 1


@pytest.mark.parametrize(
    ("options", "shape", "result"),
    [
        ({"num_classes": 3}, (1, 8, 12), (2, 3)),
        ({"num_classes": 0}, (1, 8, 12), (2, 24)),
        ({"num_classes": 0, "global_pool": ""}, (1, 8, 12), (2, 24, 2, 3)),
        ({"in_chans": 3}, (3, 8, 12), (2, 7)),
        ({"img_size": 16}, (1, 16, 16), (2, 7)),
        ({"img_size": [4, 8]}, (1, 4, 8), (2, 7)),
    ],
    ids=str,
)
def test_the_arguments_of_create_model_change_the_network(
    timm: ModuleType, options: dict[str, Any], shape: tuple[int, ...], result: tuple[int, ...]
) -> None:
    model = timm.create_model("mixfront", architecture=ARCHITECTURE, **options)
    assert model(torch.randn(2, *shape)).shape == result


def test_features_only_gives_the_maps_of_the_stages(timm: ModuleType) -> None:
    model = timm.create_model("mixfront", architecture=ARCHITECTURE, features_only=True, out_indices=(0, 2))
    first, last = model(torch.randn(2, 1, 8, 12))
    assert (first.shape, last.shape) == ((2, 12, 4, 6), (2, 24, 2, 3))
    assert model.feature_info.channels() == [12, 24]
    assert model.feature_info.reduction() == [2, 4]


def test_features_are_those_of_the_whole_network(timm: ModuleType) -> None:
    model = timm.create_model("mixfront", architecture=ARCHITECTURE).eval()
    cut = timm.create_model("mixfront", architecture=ARCHITECTURE, features_only=True).eval()
    loaded = cut.load_state_dict({f"model.{k}": v for k, v in model.state_dict().items()}, strict=False)
    assert loaded.missing_keys == []
    assert {key.split(".")[1] for key in loaded.unexpected_keys} == {"norm", "head"}
    x = torch.randn(2, 1, 8, 12)
    assert torch.allclose(model.norm(cut(x)[-1]), model.forward_features(x), atol=1e-6)


def test_a_saved_model_loads_with_equal_logits(timm: ModuleType, tmp_path: Path) -> None:
    model = timm.create_model("mixfront", architecture=ARCHITECTURE).train()
    model(torch.randn(8, 1, 8, 12))  # running statistics that are not the initial ones
    model.eval()
    timm.models.save_for_hf(
        model, tmp_path, safe_serialization=True, model_config={"model_args": {"architecture": ARCHITECTURE}}
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    x = torch.randn(4, 1, 8, 12)
    assert torch.equal(loaded(x), model(x))
    fewer = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=2).eval()
    assert torch.equal(fewer.forward_features(x), model.forward_features(x))
    assert fewer(x).shape == (4, 2)


def test_a_model_without_an_architecture_is_refused(timm: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"mixfront: the keyword `architecture` \(a mapping\) is required"):
        timm.create_model("mixfront")
    with pytest.raises(ValueError, match=r"stages\[0\]\.mixer.*did you mean conv"):
        timm.create_model("mixfront", architecture={"stages": [{"mixer": "covn"}]})
    for unknown in ("drop", "output_stride"):
        with pytest.raises(TypeError, match=rf"^mixfront\(\) got an unexpected keyword argument '{unknown}'$"):
            timm.create_model("mixfront", architecture=ARCHITECTURE, **{unknown: 16})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_has_the_dtype_and_the_device_asked_for(timm: ModuleType, tmp_path: Path, dtype: torch.dtype) -> None:
    model = timm.create_model("mixfront", architecture=ARCHITECTURE).eval()
    config = {"model_args": {"architecture": ARCHITECTURE}}
    timm.models.save_for_hf(model, tmp_path, safe_serialization=True, model_config=config)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, dtype=dtype, device="cpu").eval()
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    x = torch.randn(4, 1, 8, 12)
    torch.testing.assert_close(loaded(x.to(dtype)), model(x).to(dtype), rtol=0.05, atol=0.05)
    empty = timm.create_model("mixfront", architecture=ARCHITECTURE, device="meta")
    assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
