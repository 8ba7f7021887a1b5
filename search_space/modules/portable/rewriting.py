"""A copy of a network in which portable forms stand in the place of the modules that have one."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from search_space.modules.network import Network
from search_space.modules.portable.registry import portable_form_of

MapShape = tuple[int, int, int]


def portable(module: nn.Module, input_shape: MapShape | None = None) -> nn.Module:
    """A copy of `module`, in evaluation mode, that computes the same with real tensors alone, for maps of one size.

    Args:
        module: `(B, C, H, W) -> anything`, such as a network or a token mixer; not changed.
        input_shape: (C, H, W); None: that of the images of a `Network`.

    Raises:
        ValueError: `input_shape` is missing, or a module that has a portable form is called with maps of several sizes.
    """
    if input_shape is None:
        if not isinstance(module, Network):
            raise ValueError(
                f"input_shape: must be given for a module that is no Network, found {type(module).__name__}"
            )
        input_shape = (module.in_chans, *module.image_size)
    replica = copy.deepcopy(module).eval()
    shapes = _input_shapes(replica, input_shape)
    replacements = {child: _replacement(child, shape) for child, shape in shapes.items()}
    if replica in replacements:
        return replacements[replica]
    # From the innermost on, so that every parent is still there; a module may have several names.
    for path, child in reversed(list(replica.named_modules(remove_duplicate=False))):
        if child in replacements:
            parent, _, name = path.rpartition(".")
            setattr(replica.get_submodule(parent), name, replacements[child])
    return replica


def _replacement(module: nn.Module, shape: MapShape) -> nn.Module:
    portable_form = portable_form_of(type(module))
    assert portable_form is not None, type(module)
    channels, height, width = shape
    tensor = next(module.parameters(), None)
    return portable_form(module, channels, (height, width)).eval().to(None if tensor is None else tensor.device)


@torch.no_grad()
def _input_shapes(replica: nn.Module, input_shape: MapShape) -> dict[nn.Module, MapShape]:
    """The shapes (C, H, W) of the inputs of all modules of `replica` that have a portable form, found by a forward pass."""
    shapes: dict[nn.Module, MapShape] = {}

    def record(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        channels, height, width = inputs[0].shape[1:]
        shape = (channels, height, width)
        if shapes.setdefault(module, shape) != shape:
            rule = f"must be called with maps of one size, found {shapes[module]} and {shape}"
            raise ValueError(f"{type(module).__name__}: {rule}")

    rewritten = [child for child in replica.modules() if portable_form_of(type(child)) is not None]
    if not rewritten:
        return {}
    hooks = [child.register_forward_pre_hook(record) for child in rewritten]
    try:
        tensor = next(replica.parameters(), torch.empty(0))
        replica(torch.zeros(1, *input_shape, device=tensor.device, dtype=tensor.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes
