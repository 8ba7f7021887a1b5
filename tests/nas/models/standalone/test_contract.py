"""The standalone file of every registered mixer, channel mixer and residual form with every option, and of all other parts.

It is imported where nothing but torch can be. Its outputs and gradients are those of the network, and so are the names of its
weights; ruff has nothing to say about it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mixer_cases import CHANNEL_VARIANTS, VARIANTS
from torch import nn

from nas.models.standalone.document import Contents, document
from search_space import Architecture, presets
from search_space.channel_mixers import CHANNEL_MIXERS
from search_space.mixers import MIXERS
from search_space.modules.network import Network
from search_space.residual_forms import RESIDUAL_FORMS

Write = Callable[..., ModuleType]
TOLERANCE = 1e-6
BORROWED = re.compile(r"\b(search_space|trainers|mixers|builds|Spec|Proxy|may_rewrite|safetensors\.torch)\b|\w+Spec\b")


def small(*stages: dict[str, Any], **parts: Any) -> Architecture:
    """Stages on images of 8 x 8 pixels."""
    common = {"stem": {"patch": 1}, "image_size": [8, 8], "num_classes": 3}
    return Architecture.from_dict(common | parts | {"stages": [{"width": 24, "depth": 1} | stage for stage in stages]})


def networks_of_mixers() -> dict[str, Architecture]:
    """Each variant of a mixer by itself, and all variants in one network."""
    networks = {}
    for name in MIXERS:
        stages = [{"mixer": {"name": name, **options}} for options in VARIANTS[name]]
        networks |= {f"{name}-{index}": small(stage | {"depth": 2}) for index, stage in enumerate(stages)}
        networks[f"{name}-all"] = small(*stages)
    for name in CHANNEL_MIXERS:
        stages = [
            {"mixer": "attention", "channel_mixer": {"name": name, **options}} for options in CHANNEL_VARIANTS[name]
        ]
        networks |= {f"channels-{name}-{index}": small(stage) for index, stage in enumerate(stages)}
        networks[f"channels-{name}-all"] = small(*stages)
    return networks


def networks_of_forms() -> dict[str, Architecture]:
    """Each residual form with layer scale and gates where it has them, and with blocks that change the map."""
    networks = {}
    for name, form in RESIDUAL_FORMS.items():
        stage: dict[str, Any] = {"mixer": "conv", "residual": name, "depth": 2}
        rich = stage | {"squeeze_excite": {"reduction": 4}, "act": "silu", "norm": "layer"}
        rich |= {"layer_scale": 0.1} if form.branches else {}
        networks[f"form-{name}"] = small(stage, rich | {"mixer": "lambda"})
        if form.may_change_shape:
            changing = {"begin": "block", "downsample": 2, "width": 32}
            networks[f"form-{name}-changing"] = small(stage, stage | changing, stage | changing | {"mixer": "pool"})
    return networks


CONV = {"mixer": "conv"}
HALF = {"mixer": "pool", "downsample": 2, "width": 32}
OTHERS = {
    "norms": small(*(CONV | {"norm": norm} for norm in ("batch", "layer", "group", {"name": "batch", "eps": 1e-3}))),
    "activations": small(*(CONV | {"act": act} for act in ("gelu", "relu", "silu"))),
    "downsampling-after": small(CONV, HALF | {"downsampling": {"kernel": 3, "norm": "after", "bias": False}}),
    "downsampling-before": small(CONV, HALF | {"downsampling": {"kernel": 2, "norm": "before"}}, image_size=[6, 10]),
    "downsampling-patches": small(CONV, HALF | {"downsampling": {"kernel": 2, "norm": "patches"}}, image_size=[7, 5]),
    "change-of-width": small(CONV, CONV | {"width": 12}, CONV | {"width": 12}),
    "stem-embedding": small(CONV, stem={"patch": 2, "pos_embed": True, "norm": "layer", "act": "relu"}),
    "stem-tiered": small(CONV, stem={"patch": 4, "tiered": True, "pool": True, "norm": "batch", "order": "norm_act"}),
    "stem-tiered-order": small(CONV, stem={"patch": 2, "tiered": True, "norm": "group", "act": "gelu", "ratio": 0.5}),
    "head-none": small(CONV, head={"norm": None}),
    "head-after": small(CONV, head={"norm": "after", "kind": "layer"}),
    "two-families": small(*({"mixer": name} for name in ("afno", "fno", "fnet", "shift", "wave"))),
    "in-chans": small(CONV, in_chans=5),
    "grey": small(CONV, in_chans=1),
}
NETWORKS = networks_of_mixers() | networks_of_forms() | OTHERS
RUN = [name for name in NETWORKS if not re.search(r"-[1-9]\d*$", name)]
"""The networks whose files are run: mixers with their defaults, and with all variants of their options in one network."""


def outputs_and_gradients(module: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Outputs in training mode, and the gradients of a sum of them."""
    module.train().zero_grad()
    y = module(images)
    (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
    return y, gradients


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Equal up to `tolerance` times the largest number, or 1 where that is less."""
    found, expected = found.detach().double(), expected.detach().double()
    scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    assert torch.allclose(found, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", RUN)
def test_the_file_is_the_network(write: Write, random_network: Callable[[Architecture], Network], name: str) -> None:
    network = random_network(NETWORKS[name])
    model = write(network).load()
    assert type(model).__module__ != type(network).__module__
    assert list(model.state_dict()) == list(network.state_dict())
    images = torch.randn(3, network.in_chans, *network.image_size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        assert_close(model(images), network(images), TOLERANCE)
    y, gradients = outputs_and_gradients(model, images)
    expected, expected_gradients = outputs_and_gradients(network, images)
    assert_close(y, expected, 1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for key, gradient in expected_gradients.items():
        assert_close(gradients[key], gradient, 1e-4)  # sums over batch and positions in another order
    buffers = dict(network.named_buffers())
    for key, buffer in model.named_buffers():
        assert_close(buffer, buffers[key], 1e-5)


def test_ruff_has_nothing_to_say(tmp_path: Path) -> None:
    for name, architecture in NETWORKS.items():
        text = document(architecture, Contents(("a", "b", "c"), (0.5,) * 3, (0.25,) * 3, name))
        assert BORROWED.search(text) is None, name
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    for command in (["check", "--isolated"], ["format", "--isolated", "--check", "--line-length", "120"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", presets.names())
def test_presets_are_files_of_moderate_length(name: str) -> None:
    architecture = presets.get(name)
    stages = [stage.replace(depth=min(stage.depth, 4)) for stage in architecture.stages]
    shallow = architecture.replace(stages=stages, num_classes=10)
    text = document(shallow, Contents(tuple("abcdefghij"), (0.5,) * 3, (0.25,) * 3, name))
    compile(text, name, "exec")
    assert len(text.splitlines()) < 500


def test_a_file_has_only_what_its_network_needs() -> None:
    def text(name: str) -> str:
        return document(NETWORKS[name], Contents(("a", "b", "c"), (0.5,) * 3, (0.25,) * 3, name))

    conv = text("conv-0")
    assert "class Conv(nn.Conv2d)" in conv
    assert not re.search(r"[Ll]ambda|LayerScale|SqueezeExcite|def interlace|fft|LayerNorm", conv)
    assert "def interlace" in text("conv-4")
    assert "put_modes" not in text("afno-0")
    assert "put_modes" in text("afno-2")
    assert "self.pos_emb" not in text("lambda-0")


def test_classes_name_their_papers() -> None:
    text = document(NETWORKS["attention-0"], Contents(("a", "b", "c"), (0.5,) * 3, (0.25,) * 3, "x"))
    before = text[: text.index("class SelfAttention")].splitlines()
    assert any(line.startswith("# ") and "Dosovitskiy et al., 2021" in line for line in before)
