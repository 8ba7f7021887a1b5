"""What layers compute in another form on CPUs: the numbers and gradients of the definition, and only where that is allowed.

The definition runs in double precision, which no layer rewrites; the rewritten form in single precision.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from search_space.mixers import create
from search_space.modules.depthwise import DepthwiseConv, depthwise_conv
from search_space.modules.eager import may_bypass, may_rewrite, runs_eagerly
from search_space.modules.local_lambdas import LocalLambdas
from search_space.modules.pool import PoolMinusInput

Size = tuple[int, int]
WIDTH = 12
ROWS: list[tuple[str, dict[str, object]]] = [
    *(("conv", {"k": k}) for k in (3, 4, 5, 6, 7, 13, 15, 16, 23)),
    ("separable_conv", {"k": 7}),
    ("separable_conv", {"k": 4, "expansion": 1.5, "act": "gelu"}),
    ("pool", {}),
    ("pool", {"k": 7}),
    ("pool", {"k": 15}),
    ("wave", {}),
    ("wave", {"mode": "depthwise"}),
    *(("lambda", {"context": context, "k": 5}) for context in (1, 3, 7, 13, 15, "global")),
    ("lambda", {"context": 3, "u": 3}),
    ("lambda", {"context": 15, "u": 2}),
    ("shift", {"kind": "shiftvit"}),
]
SIZES: list[Size] = [(8, 8), (5, 9), (17, 16), (2, 3)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def label(row: object) -> str:
    return " ".join(f"{key}={value}" for key, value in row.items()) if isinstance(row, dict) else str(row)


def run(module: nn.Module, x: torch.Tensor, direction: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output and the gradients of the input and of every parameter."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = module(x)
    y.backward(direction)
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()} | {"the input": x.grad}
    assert all(gradient is not None for gradient in gradients.values())
    return {"the output": y.detach()} | {name: grad for name, grad in gradients.items() if grad is not None}


@pytest.mark.parametrize("layout", LAYOUTS, ids=["channels first", "channels last"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("name", "options"), ROWS, ids=label)
def test_values_and_gradients_are_those_of_the_definition(
    name: str, options: dict[str, object], size: Size, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    module = create(name, width=WIDTH, size=size, **options)
    definition = copy.deepcopy(module).double()
    x, direction = (torch.randn(3, WIDTH, *size) for _ in range(2))
    found = run(module, x.contiguous(memory_format=layout), direction)
    expected = run(definition, x.double(), direction.double())
    for key, tensor in expected.items():
        scale = float(tensor.abs().max()) if tensor.numel() else 1.0
        torch.testing.assert_close(found[key].double(), tensor, rtol=0, atol=1e-5 * max(scale, 1.0), msg=key)
    with torch.inference_mode():
        y = module.eval()(x.contiguous(memory_format=layout))
        torch.testing.assert_close(y.double(), definition.eval()(x.double()), rtol=1e-5, atol=1e-4)


def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]


FUNCTIONS: dict[str, tuple[Callable[..., torch.Tensor], list[torch.Tensor]]] = {
    "depthwise": (DepthwiseConv.apply, tensors((2, 3, 4, 5), (3, 1, 3, 5), (3,))),
    "depthwise, wider than the map": (DepthwiseConv.apply, tensors((2, 2, 3, 2), (2, 1, 5, 7), (2,))),
    "depthwise, far": (DepthwiseConv.apply, tensors((1, 2, 3, 4), (2, 1, 1, 15), (2,))),
    "pool": (lambda x: PoolMinusInput.apply(x, 3), tensors((2, 2, 3, 4))),
    "lambda": (LocalLambdas.apply, tensors((2, 1, 3, 4, 2), (3, 1, 3, 3, 1), (3,))),
    "lambda u=2": (LocalLambdas.apply, tensors((2, 2, 3, 2, 2), (3, 2, 3, 3, 1), (3,))),
    "lambda, far": (LocalLambdas.apply, tensors((1, 1, 2, 2, 2), (2, 1, 15, 15, 1), (2,))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradients_written_by_hand_agree_with_differences_twice_over(name: str) -> None:
    function, inputs = FUNCTIONS[name]
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_only_the_needed_gradients_are_computed() -> None:
    x, weight = torch.randn(2, 3, 6, 6), torch.randn(3, 1, 5, 5, requires_grad=True)
    depthwise_conv(x, weight, None, (5, 5)).sum().backward()
    assert weight.grad is not None
    frozen = weight.detach()
    x.requires_grad_()
    depthwise_conv(x, frozen, None, (5, 5)).sum().backward()
    assert x.grad is not None
    assert frozen.grad is None


def test_other_precisions_and_devices_and_mixed_precision_keep_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1)
    assert may_rewrite(x)
    assert not may_rewrite(x.double())
    assert not may_rewrite(x.bfloat16())
    assert not may_rewrite(x.to("meta"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not may_rewrite(x)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not may_rewrite(x)


def test_whatever_a_fast_way_cannot_serve_keeps_the_definition() -> None:
    x, layer = torch.ones(2), nn.Conv2d(1, 1, 3)
    assert may_rewrite(x, module=layer)
    assert not may_rewrite(x[:0])
    assert not may_rewrite(x, x[:0])
    assert not may_rewrite(x.as_subclass(type("Labelled", (torch.Tensor,), {})))
    assert not torch.func.vmap(lambda row: row * may_rewrite(row))(x).any()
    assert not may_rewrite(x, module=nn.Sequential(layer))
    parametrizations.weight_norm(layer)
    assert not may_rewrite(x, module=layer)
    hooked = nn.Conv2d(1, 1, 3)
    hooked.register_forward_hook(lambda *arguments: None)
    assert not may_rewrite(x, module=hooked)
    assert may_bypass(nn.Conv3d(1, 1, 3))
    with FlopCounterMode(display=False):
        assert not may_rewrite(x)
    assert runs_eagerly(x.double())
    assert not runs_eagerly(x.double()[:0])


def test_a_flop_counter_counts_the_definition() -> None:
    counts = []
    for dtype in (torch.float32, torch.float64):
        module = nn.Sequential(create("conv", width=4, size=(6, 6), k=4), create("pool", width=4, size=(6, 6))).to(
            dtype
        )
        with FlopCounterMode(display=False) as counter:
            module(torch.ones(1, 4, 6, 6, dtype=dtype)).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1]


TRACED: list[tuple[str, dict[str, object], str]] = [
    ("conv", {"k": 7}, "conv"),
    ("pool", {}, "avg_pool2d"),
    ("lambda", {"context": 3}, "conv3d"),
]


@pytest.mark.parametrize(("name", "options", "operation"), TRACED, ids=label)
def test_exported_traced_and_compiled_code_is_the_definition(
    name: str, options: dict[str, object], operation: str
) -> None:
    torch.manual_seed(0)
    module, x = create(name, width=WIDTH, size=(6, 5), **options).eval(), torch.randn(2, WIDTH, 6, 5)
    seen: list[str] = []

    def inspected(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> torch.fx.GraphModule:
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    exported = torch.export.export(module, (x,)).module()
    compiled = torch.compile(module, backend=inspected, fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # counters of operations still trace, which torch has deprecated
        traced = torch.jit.trace(module, x, check_trace=False)
    for other in (exported, compiled, traced):
        torch.testing.assert_close(other(x), module(x), rtol=1e-5, atol=1e-5)
    assert any(operation in target for target in seen)
    assert not any("apply" in target or "autograd_function" in target for target in seen)
    assert "PythonOp" not in str(traced.inlined_graph)
