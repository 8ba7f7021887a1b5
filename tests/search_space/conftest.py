"""Fixtures of the search space's tests: one thread, and a counted forward pass as the oracle of every cost.

fvcore counts, with our own table: operations that multiply have a handle, elementwise ones are listed as free, and any other
operation fails the test, so that none is counted as zero by mistake. Activation memory is what autograd really saves in a
training step (see `saved_bytes_of`).
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from search_space.tape import Cost

CountedForward = Callable[[nn.Module, tuple[int, ...]], Cost]
SavedBytes = Callable[..., int]

# Norms, poolings, activations, shifts, elementwise sums and products: no MACs by convention (search_space/tape.py).
FREE = (
    *("add", "add_", "sub", "mul", "neg", "mean", "pad", "lt", "minimum", "sum", "cos", "sin", "roll", "flip", "real"),
    *("amax", "clamp_min"),
    *("gelu", "relu", "silu", "silu_", "sigmoid", "softmax", "softshrink"),
    *(
        "view_as_real",
        "view_as_complex",
        "zeros_like",
        "index",
        "index_put_",
        "clone",
        "copy_",
        "fill_",
        "movedim",
        "empty_like",
        "tensor_split",
    ),
    *("batch_norm", "layer_norm", "group_norm", "avg_pool2d", "adaptive_avg_pool2d", "max_pool2d"),
)


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Modules and tensors are made in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Queries (B, h, N, d) with keys (B, h, M, d), then the weights with values (B, h, M, d): N*M*d each."""
    (batch, heads, queries, depth), keys = _shape(inputs[0]), _shape(inputs[1])[2]
    return 2 * batch * heads * queries * keys * depth


def _einsum_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """One multiply-add for each combination of the indices, a complex one as four; fvcore's own handle rounds."""
    terms = inputs[0].toIValue().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, inputs[1].node().inputs(), strict=True):
        sizes |= dict(zip(term, _shape(operand), strict=True))
    is_complex = "Complex" in outputs[0].type().scalarType()
    return math.prod(sizes.values()) * (4 if is_complex else 1)


def _matmul_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """One multiply-add for each output and each number summed over, a complex one as four."""
    is_complex = "Complex" in outputs[0].type().scalarType()
    return math.prod(_shape(outputs[0])) * _shape(inputs[0])[-1] * (4 if is_complex else 1)


def _real_fft2_flops(real: list[int]) -> int:
    """A real 2-D transform of N points takes half of a complex one's 5 N log2 N."""
    points = real[-2] * real[-1]
    return round(math.prod(real[:-2]) * 5 * points * math.log2(points) / 2)


@pytest.fixture(scope="session")
def saved_bytes() -> SavedBytes:
    """`saved_bytes(module, (C, H, W), channels_last=False)`, see `saved_bytes_of`."""
    return saved_bytes_of


def saved_bytes_of(module: nn.Module, image: tuple[int, ...], channels_last: bool = False) -> int:
    """Bytes that autograd saves of each further image `(C, H, W)` in a training step, 4 for each number.

    Counted in float64, where every layer is computed by the operations of its definition: the storages that autograd saves, each
    once, for three images minus those for two, so that only what grows with the batch counts. `channels_last`: the memory
    format of the images.
    """
    module = copy.deepcopy(module).double().train()
    constant = {t.untyped_storage().data_ptr() for t in [*module.parameters(), *module.buffers()]}

    def saved(batch: int) -> int:
        tensors: list[torch.Tensor] = []  # they stay alive, so that no address is used twice

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            tensors.append(tensor)
            return tensor

        x = torch.randn(batch, *image, dtype=torch.float64)
        if channels_last:
            x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        x.requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = module(x)
        assert y.requires_grad
        storages = {t.untyped_storage().data_ptr(): t for t in tensors}
        return sum(_single_bytes(t) for address, t in storages.items() if address not in constant)

    return saved(3) - saved(2)


def _single_bytes(tensor: torch.Tensor) -> int:
    """Bytes of the storage of `tensor` if its numbers were of single precision; indices stay what they are."""
    size = tensor.untyped_storage().nbytes()
    return size // 2 if tensor.is_floating_point() or tensor.is_complex() else size


@pytest.fixture(scope="session")
def counted_forward() -> CountedForward:
    """`counted_forward(module, (1, C, H, W))`: the cost of `module` counted as it runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore imports what torch has deprecated
        from fvcore.nn import FlopCountAnalysis

    def count(module: nn.Module, shape: tuple[int, ...]) -> Cost:
        analysis = FlopCountAnalysis(module.eval(), torch.zeros(shape))
        analysis.tracer_warnings("none").uncalled_modules_warnings(False).unsupported_ops_warnings(False)
        analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
        analysis.set_op_handle("aten::einsum", _einsum_macs)
        analysis.set_op_handle("aten::matmul", _matmul_macs)
        analysis.set_op_handle("aten::fft_rfft2", lambda inputs, outputs: _real_fft2_flops(_shape(inputs[0])))
        analysis.set_op_handle("aten::fft_irfft2", lambda inputs, outputs: _real_fft2_flops(_shape(outputs[0])))
        for name in FREE:
            analysis.set_op_handle(f"aten::{name}", lambda inputs, outputs: 0)
        operations = analysis.by_operator()
        unknown = dict(analysis.unsupported_ops())
        assert not unknown, f"operations that the count knows nothing about: {unknown}"
        fft_flops = operations.pop("fft_rfft2", 0) + operations.pop("fft_irfft2", 0)
        macs, params = round(sum(operations.values())), sum(p.numel() for p in module.parameters())
        return Cost(macs, params, round(fft_flops), saved_bytes_of(module, shape[1:]))

    return count
