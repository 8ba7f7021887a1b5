"""Every private part of torch that is used, by the name it has here: what an update of torch must not break."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from trainers.torch_internals import (
    TorchDispatchMode,
    compiler_settings,
    divide_all_,
    lerp_all_,
    storage_key,
    tree_iter,
    without_compiler_wrapper,
)


def test_lerp_all_is_lerp_of_each() -> None:
    tensors, ends = [torch.zeros(3), torch.ones(2, 2)], [torch.full((3,), 8.0), torch.full((2, 2), 5.0)]
    expected = [tensor.lerp(end, 0.25) for tensor, end in zip(tensors, ends, strict=True)]
    lerp_all_(tensors, ends, 0.25)
    assert all(torch.equal(tensor, value) for tensor, value in zip(tensors, expected, strict=True))


def test_divide_all_divides_each() -> None:
    tensors = [torch.full((3,), 8.0), torch.full((2, 2), 6.0)]
    divide_all_(tensors, torch.tensor(2.0))
    assert [tensor.unique().tolist() for tensor in tensors] == [[4.0], [3.0]]


@pytest.mark.parametrize("method", [Optimizer.zero_grad, Optimizer.state_dict, AdamW.step])
def test_methods_of_optimizers_are_wrapped_and_unwrapped(method: Callable[..., object]) -> None:
    assert hasattr(method, "__wrapped__")  # otherwise the adapter is not needed any more
    plain = without_compiler_wrapper(method)
    assert not hasattr(plain, "__wrapped__")
    assert plain.__name__ == method.__name__


def test_storages_have_keys_of_their_own() -> None:
    whole = torch.zeros(8)
    others = [torch.zeros(8), torch.zeros(0), torch.zeros(0), torch.zeros(3, device="meta")]
    assert storage_key(whole) == storage_key(whole[2:].view(3, 2))
    assert len({storage_key(tensor) for tensor in (whole, *others)}) == 5


def test_a_storage_ends_with_its_last_tensor() -> None:
    tensor = torch.zeros(4)
    ended: list[str] = []
    weakref.finalize(tensor.untyped_storage(), ended.append, "ended")
    view = tensor[1:]
    del tensor
    gc.collect()
    assert not ended
    del view
    assert ended == ["ended"]


def test_a_dispatch_mode_sees_each_operation() -> None:
    class Names(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.names: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.names.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    with Names() as mode:
        torch.ones(2) + 1
    assert mode.names == ["ones", "add"]


def test_tree_iter_gives_the_leaves() -> None:
    assert list(tree_iter([1, {"a": (2, 3)}])) == [1, 2, 3]


def test_settings_of_the_compiler_are_as_before_after_the_block() -> None:
    import torch._dynamo.config as dynamo
    import torch._functorch.config as functorch

    before = dynamo.suppress_errors, functorch.force_non_lazy_backward_lowering
    with compiler_settings(suppress_errors=not before[0]):
        assert (dynamo.suppress_errors, functorch.force_non_lazy_backward_lowering) == (not before[0], True)
    assert (dynamo.suppress_errors, functorch.force_non_lazy_backward_lowering) == before


def test_the_compiler_is_not_imported_before_it_is_used() -> None:
    code = (
        "import sys, trainers.torch_internals, trainers.training.loop, trainers.measuring.memory; "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plain_optimizer_takes_the_steps_of_torchs() -> None:
    plain_step = torch.no_grad()(without_compiler_wrapper(AdamW.step))
    weights = []
    for step in (AdamW.step, plain_step):
        layer = nn.Linear(2, 1, bias=False)
        nn.init.ones_(layer.weight)
        optimizer = AdamW(layer.parameters(), lr=0.1)
        layer(torch.tensor([[1.0, 2.0]])).sum().backward()
        step(optimizer)
        weights.append(layer.weight.detach().clone())
    assert torch.equal(*weights)
