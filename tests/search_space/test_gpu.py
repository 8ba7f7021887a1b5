"""Mixers and networks on a GPU: the values and gradients of the CPU, half precision, compilation."""

from __future__ import annotations

import copy

import pytest
import torch
from mixer_cases import CASES, VARIANT_CASES, Case
from preset_cases import SMALL
from torch import nn

from search_space import build

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]

TOLERANCES = {torch.bfloat16: 0.08, torch.float16: 0.01}  # on a CPU 0.06 and 0.01: `test_half_precision.py`


def results(module: nn.Module, x: torch.Tensor, direction: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output, and the gradients of its product with `direction`, by name; on the CPU."""
    x = x.detach().requires_grad_()
    y = module(x)
    y.backward(direction.to(y.dtype))
    tensors = {"output": y, "input": x.grad, **{name: p.grad for name, p in module.named_parameters()}}
    return {name: t.detach().cpu() for name, t in tensors.items() if t is not None and t.numel()}


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """In the 2-norm; of a tensor of zeros relative to its size."""
    least = 1e-3 * expected.numel() ** 0.5
    return float((found.double() - expected.double()).norm() / expected.double().norm().clamp(min=least))


@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_values_and_gradients_are_those_of_the_cpu(
    case: Case, dtype: torch.dtype, tolerance: float, layout: torch.memory_format
) -> None:
    module = case.build().eval().double()
    x, direction = (case.input(seed=seed).double() for seed in (1, 2))
    expected = results(copy.deepcopy(module), x, direction)
    module.to("cuda", dtype, memory_format=layout)
    x, direction = (tensor.to("cuda", dtype, memory_format=layout) for tensor in (x, direction))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = results(module, x, direction)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert relative_error(found[name], tensor) < tolerance, name


@pytest.mark.parametrize("case", VARIANT_CASES, ids=repr)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_autocast_is_finite_and_near_single_precision(case: Case, dtype: torch.dtype) -> None:
    module = case.build().eval()
    module.load_state_dict({name: t.to(dtype).to(t.dtype) for name, t in module.state_dict().items()})
    x, direction = (case.input(seed=seed).to(dtype).float() for seed in (1, 2))
    expected = results(copy.deepcopy(module), x, direction)
    module.to("cuda", memory_format=torch.channels_last)
    x = x.to("cuda").contiguous(memory_format=torch.channels_last)
    with torch.autocast("cuda", dtype):
        found = results(module, x, direction.to("cuda"))
    for name, tensor in expected.items():
        assert found[name].isfinite().all(), name
        if tensor.numel() > 1:  # StarReLU's scalars are sums of numbers of any sign
            assert relative_error(found[name], tensor) < TOLERANCES[dtype], name


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_networks_have_the_logits_and_gradients_of_the_cpu(name: str, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    architecture = SMALL[name]
    network = build(architecture).train().double()
    images = torch.randn(3, architecture.in_chans, *architecture.image_size, dtype=torch.float64)
    direction = torch.randn(3, architecture.num_classes, dtype=torch.float64)
    expected = results(copy.deepcopy(network), images, direction)
    network.to("cuda", memory_format=layout)
    found = results(network, images.to("cuda", memory_format=layout), direction.to("cuda"))
    for part, tensor in expected.items():
        assert relative_error(found[part], tensor) < 1e-7, part


@pytest.mark.parametrize("name", ["convmixer", "gfnet", "swin"])
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_networks_compile(name: str, mode: str) -> None:
    torch.manual_seed(0)
    network = build(SMALL[name]).eval().cuda()
    images = torch.randn(3, 3, 32, 48, device="cuda")
    with torch.inference_mode():
        expected = network(images).clone()
        compiled = torch.compile(network, mode=mode)
        for _ in range(3):
            found = compiled(images).clone()
    torch._dynamo.reset()
    assert relative_error(found.cpu(), expected.cpu()) < 1e-3
