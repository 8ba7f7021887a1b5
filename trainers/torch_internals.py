"""The only file that uses private parts of torch, each with its reason.

What has no public counterpart stands here, so that an update of torch is checked in one place (and by one test,
`tests/trainers/test_torch_internals.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = [
    "TorchDispatchMode",
    "compiler_settings",
    "divide_all_",
    "lerp_all_",
    "storage_key",
    "tree_iter",
    "without_compiler_wrapper",
]

Method = TypeVar("Method", bound=Callable[..., Any])


def lerp_all_(tensors: list[Tensor], ends: list[Tensor], weight: float) -> None:
    """`tensor += weight * (end - tensor)` for each pair, in place, in few kernels for all of them.

    `torch.Tensor.lerp_` is public, but takes a call, and on a GPU a kernel, for each tensor.
    """
    torch._foreach_lerp_(tensors, ends, weight)


def divide_all_(tensors: list[Tensor], divisor: Tensor) -> None:
    """Divide each of `tensors` by `divisor`, a tensor of no dimension, in place; private for the reason of `lerp_all_`."""
    torch._foreach_div_(tensors, divisor)


def without_compiler_wrapper(method: Method) -> Method:
    """`method` of a torch optimizer as it was written, without the wrappers that tell `torch.compile` to leave it out.

    The first call of a wrapped method imports torch's compiler, sympy and Triton: 2 s of every worker's start. There is no
    public way to get the method without.
    """
    unwrapped: Method = inspect.unwrap(method)
    return unwrapped


def storage_key(tensor: Tensor) -> int:
    """A number for the storage of `tensor` that no other living storage has.

    The public `data_ptr` is 0 for every empty storage and on the device "meta".
    """
    key: int = tensor.untyped_storage()._cdata
    return key


@contextmanager
def compiler_settings(*, suppress_errors: bool) -> Iterator[None]:
    """Settings of `torch.compile` for networks that are compiled within the block; restored at its end.

    The backward pass is compiled together with the forward pass: later it would be too late to run the network uncompiled.
    Neither setting can be given to `torch.compile` itself. The modules are imported here, for they take 2 s.

    Args:
        suppress_errors: a network that cannot be compiled runs uncompiled; otherwise it raises what torch raises.
    """
    import torch._dynamo.config as dynamo
    import torch._functorch.config as functorch

    with dynamo.patch(suppress_errors=suppress_errors), functorch.patch(force_non_lazy_backward_lowering=True):
        yield
