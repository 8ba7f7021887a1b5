"""Gradients in float32 against float64 where a map or a batch has sides of one, for every memory layout.

torch's CPU batch norm is silently wrong there (`search_space/modules/batch_norm.py`); anything else that were would be found too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from mixer_cases import CHANNEL_VARIANTS, VARIANTS, Case
from torch import nn

from search_space import Architecture, build
from search_space.channel_mixers import CHANNEL_MIXERS
from search_space.errors import SpaceError
from search_space.mixers import MIXERS
from search_space.modules.batch_norm import MapBatchNorm
from search_space.registry import Registry
from search_space.residual_forms import RESIDUAL_FORMS

Size = tuple[int, int]
Shape = tuple[int, int, int, int]
SIZES: tuple[Size, ...] = ((1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (2, 2))
WIDTH = 24
REGISTRIES: list[tuple[dict[str, list[dict[str, object]]], Registry[Any]]] = [
    (VARIANTS, MIXERS),
    (CHANNEL_VARIANTS, CHANNEL_MIXERS),
]


def layouts(x: torch.Tensor) -> Iterator[torch.Tensor]:
    """`x` in every order of its axes in memory that layers make, with any stride where a side is 1 and the stride is free."""
    _, channels, height, width = x.shape
    first = (channels * height * width, height * width, width, 1)
    last = (channels * height * width, 1, width * channels, channels)
    for strides in (first, last):
        free = [(s, 1, 7 * s) if side == 1 else (s,) for side, s in zip(x.shape, strides, strict=True)]
        base = torch.empty_strided(x.shape, strides, dtype=x.dtype).copy_(x)
        for combination in sorted(set(product(*free))):
            yield base.as_strided(x.shape, combination)
    yield x.transpose(2, 3).contiguous().transpose(2, 3)
    yield torch.stack((x, x), dim=1).flatten(0, 1)[::2]
    yield torch.cat((x, x), dim=1)[:, :channels]


def gradients(module: nn.Module, x: torch.Tensor, direction: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output and the gradients of the input and of every parameter that has one."""
    x = x.detach().requires_grad_()
    module.zero_grad()
    y = module(x)
    y.backward(direction)
    tensors = [*module.named_parameters(), ("the input", x)]
    return {"the output": y.detach()} | {name: t.grad for name, t in tensors if t.grad is not None}


def check_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], atol: float = 2e-5) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        scale = max(1.0, float(tensor.abs().max())) if tensor.numel() else 1.0
        torch.testing.assert_close(found[name].double(), tensor, rtol=0, atol=atol * scale, msg=name)


NORM_SHAPES: list[Shape] = [
    (1, 3, 2, 5),
    (1, 3, 1, 5),
    (1, 3, 5, 1),
    (2, 3, 1, 5),
    (2, 3, 5, 1),
    (5, 3, 1, 1),
    (2, 3, 3, 2),
]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("shape", [*NORM_SHAPES, (2, 1, 1, 5), (2, 40, 1, 5), (3, 4, 1, 2)], ids=str)
def test_batch_norm_is_right_for_all_strides_of_input_and_gradient(shape: Shape, training: bool) -> None:
    torch.manual_seed(0)
    norm = MapBatchNorm(shape[1]).train(training)
    nn.init.normal_(norm.weight)
    x, direction = torch.randn(shape), torch.randn(shape)
    expected = gradients(copy.deepcopy(norm).double(), x.double(), direction.double())
    for input_layout, gradient_layout in product(layouts(x), layouts(direction)):
        check_equal(gradients(copy.deepcopy(norm), input_layout, gradient_layout), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_batch_norm_is_right_in_other_precisions(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for shape in NORM_SHAPES[::2]:
        norm, x, direction = MapBatchNorm(shape[1]), torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
        expected = gradients(copy.deepcopy(norm).double(), x.contiguous().double(), direction.contiguous().double())
        for input_layout, gradient_layout in product(layouts(x), layouts(direction)):
            found = gradients(copy.deepcopy(norm).to(dtype), input_layout, gradient_layout)
            check_equal(found, expected, atol=1e-9 if dtype == torch.float64 else 0.05)


def test_batch_norm_keeps_its_interface() -> None:
    norm, x = MapBatchNorm(3), torch.randn(2, 3, 1, 5)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.state_dict().keys() == nn.BatchNorm2d(3).state_dict().keys()
    for memory_format in (torch.contiguous_format, torch.channels_last):
        y = norm(x.contiguous(memory_format=memory_format))
        assert y.is_contiguous(memory_format=memory_format)
    assert int(norm.num_batches_tracked) == 2
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(torch.randn(1, 3, 1, 1))
    graph = torch.fx.symbolic_trace(nn.Sequential(norm))
    assert [node.op for node in graph.graph.nodes] == ["placeholder", "call_module", "output"]


def small_cases() -> list[Case]:
    """Each variant of each mixer on each of `SIZES` that it fits."""
    fitting = []
    specs = [
        registry[name](**options) for table, registry in REGISTRIES for name in registry for options in table[name]
    ]
    for case in (Case(spec, (WIDTH, size)) for spec in specs for size in SIZES):
        try:
            case.build()
        except SpaceError:  # such as more keys than positions
            continue
        fitting.append(case)
    return fitting


@pytest.mark.parametrize("case", small_cases(), ids=repr)
def test_mixers_on_small_maps(case: Case) -> None:
    module = case.build()
    for batch in (1, 2, 8):
        # Statistics of two numbers are ill-conditioned: their normalised difference is 1 or -1.
        module.train(batch * case.size[0] * case.size[1] > 2)
        x, direction = case.input(batch), case.input(batch, seed=2)
        expected = gradients(copy.deepcopy(module).double(), x.double(), direction.double())
        formats = (torch.contiguous_format, torch.channels_last)
        pairs = [
            (x.contiguous(memory_format=a), direction.contiguous(memory_format=b)) for a in formats for b in formats
        ]
        if batch == 2:
            pairs += list(zip(list(layouts(x))[1:8:3], reversed(list(layouts(direction))), strict=False))
        for input_layout, gradient_layout in pairs:
            check_equal(gradients(copy.deepcopy(module), input_layout, gradient_layout), expected)


def network(norm: str, form: str, downsampling: str, image_size: Size) -> nn.Module:
    stage = {"mixer": {"name": "conv", "k": 3}, "depth": 1, "norm": norm, "residual": form}
    description = {
        "image_size": list(image_size),
        "num_classes": 3,
        "stem": {"patch": 2, "norm": norm},
        "stages": [
            stage | {"width": 8},
            stage
            | {
                "width": 12,
                "downsample": 2,
                "downsampling": {"norm": downsampling, "kernel": 2},
                "squeeze_excite": {"reduction": 4},
            },
        ],
    }
    torch.manual_seed(0)
    return build(Architecture.from_dict(description))


@pytest.mark.parametrize("image_size", [(2, 12), (12, 2), (4, 12), (4, 4)], ids=str)
@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
@pytest.mark.parametrize(
    ("form", "downsampling"),
    [*((form, "patches") for form in sorted(RESIDUAL_FORMS)), ("pre_norm", "before"), ("pre_norm", "after")],
)
def test_networks_on_small_maps(norm: str, form: str, downsampling: str, image_size: Size) -> None:
    module = network(norm, form, downsampling, image_size).train()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8, 3, *image_size, generator=generator)
    direction = torch.randn(8, 3, generator=generator)
    expected = gradients(copy.deepcopy(module).double(), x.double(), direction.double())
    for memory_format in (torch.contiguous_format, torch.channels_last):  # the trainer's images are channels last
        found = gradients(copy.deepcopy(module), x.contiguous(memory_format=memory_format), direction)
        check_equal(found, expected, atol=1e-4)
