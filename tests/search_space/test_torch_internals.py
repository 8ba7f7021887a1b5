"""Every private part of torch that the layers use, by the name it has here: what an update of torch must not break."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from search_space.modules.torch_internals import has_global_hooks, has_hooks, is_transforming

REGISTER: dict[str, Callable[[nn.Module], object]] = {
    "before": lambda module: module.register_forward_pre_hook(lambda *arguments: None),
    "after": lambda module: module.register_forward_hook(lambda *arguments: None),
    "after, always": lambda module: module.register_forward_hook(lambda *arguments: None, always_call=True),
    "gradient": lambda module: module.register_full_backward_hook(lambda *arguments: None),
    "before the gradient": lambda module: module.register_full_backward_pre_hook(lambda *arguments: None),
}


@pytest.mark.parametrize("kind", REGISTER)
def test_hooks_of_a_module_are_seen_until_they_are_removed(kind: str) -> None:
    module = nn.Conv2d(1, 1, 1)
    assert not has_hooks(module)
    handle = REGISTER[kind](module)
    assert has_hooks(module)
    handle.remove()  # type: ignore[attr-defined]
    assert not has_hooks(module)


def test_another_forward_of_the_instance_counts_as_a_hook() -> None:
    module = nn.Conv2d(1, 1, 1)
    module.forward = lambda x: x  # type: ignore[method-assign]
    assert has_hooks(module)


def test_hooks_of_all_modules_are_seen() -> None:
    assert not has_global_hooks()
    with FlopCounterMode(display=False):
        assert has_global_hooks()
        assert has_hooks(nn.Conv2d(1, 1, 1))
    assert not has_global_hooks()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # in torch's own rules
def test_transforms_are_seen_while_they_are_active() -> None:
    seen: list[bool] = []

    def function(x: torch.Tensor) -> torch.Tensor:
        seen.append(is_transforming())
        return x.sum()

    x = torch.ones(2)
    torch.func.grad(function)(x)
    torch.func.vmap(function)(x[None])
    torch.func.jvp(function, (x,), (x,))
    with forward_ad.dual_level():
        function(forward_ad.make_dual(x, x))
    assert seen == [True] * 4
    function(x)
    assert seen[-1] is False
