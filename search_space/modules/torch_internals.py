"""The only file of `search_space` that uses private parts of torch, each with its reason.

`tests/search_space/test_torch_internals.py` names each of them, so that an update of torch is checked in one place.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook


def has_hooks(module: nn.Module) -> bool:
    """True if a call of `module` runs more than its `forward`: hooks of its own, of all modules, or another `forward`.

    There is no public way to ask for hooks. A `forward` of the instance is how libraries for offloading and for counting
    operations wrap a module.
    """
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in module.__dict__
        or has_global_hooks()
    )


def has_global_hooks() -> bool:
    """True if hooks are registered for the calls of all modules, as `torch.utils.flop_counter` does."""
    return bool(_has_any_global_hook())


def is_transforming() -> bool:
    """True within a transform of `torch.func` (`grad`, `vmap`, `jvp`, ...) or of forward-mode differentiation.

    The public `torch.func` tells nobody that it is active, and `torch.autograd.forward_ad` only for a given tensor.
    """
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
