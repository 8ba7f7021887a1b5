"""Tensors that are bound to the map size, and their change to another size in place.

A module that changes its map stays the same object: its hooks, its training mode and its other parameters, to which an optimizer
may refer, stay. A parameter of another shape is a new `nn.Parameter`, as in timm's models, with what the old one had: device,
dtype, memory format, `requires_grad`, attributes that a user gave it, and its ties (one parameter of two modules).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

import torch
from torch import nn

from search_space.shapes import Size


class SizeBound(nn.Module):
    """A token mixer that is made for maps of one size.

    Attributes:
        size: (height, width) of its map.
    """

    size: Size

    def tensors_for_size(self, size: Size) -> dict[str, torch.Tensor]:
        """The parameters and buffers that a map of `size` needs instead of those of this one, by name; changes nothing.

        Raises:
            SpaceError: there is no accepted way to carry them over.
        """
        raise NotImplementedError

    def for_size(self, size: Size) -> Self:
        """A copy for maps of `size`.

        Raises:
            SpaceError: there is no accepted way to carry its parameters over.
        """
        layer = copy.deepcopy(self)
        resize([plan_resizing(layer, size)])
        return layer


@dataclass(frozen=True)
class Resizing:
    """What changes in a module on another map.

    Args:
        module: the module.
        tensors: the new parameters and buffers, by their names in `module`.
        attributes: the new values of its other attributes.

    Raises:
        ValueError: one of the tensors is computed from others (`torch.nn.utils.parametrize`, `.prune`).
    """

    module: nn.Module
    tensors: Mapping[str, torch.Tensor]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        for name in self.tensors:
            if name not in own:
                raise ValueError(
                    f"{name}: must be a plain parameter to take another size; undo its parametrization or pruning first"
                )


def plan_resizing(mixer: nn.Module, size: Size) -> Resizing:
    """What changes in the token mixer `mixer` on maps of `size`; changes nothing.

    A mixer that is no `SizeBound` has a method `for_size(size)`, which returns another module of the same class.

    Raises:
        SpaceError: there is no accepted way to carry its parameters over.
        ValueError: see `Resizing`.
    """
    if isinstance(mixer, SizeBound):
        return Resizing(mixer, mixer.tensors_for_size(size), {"size": size})
    other = cast(Any, mixer).for_size(size)
    old, new = (dict([*module.named_parameters(), *module.named_buffers()]) for module in (mixer, other))
    tensors = {name: tensor for name, tensor in new.items() if name not in old or tensor.shape != old[name].shape}
    attributes = {name: value for name, value in vars(other).items() if not name.startswith("_")}
    return Resizing(mixer, tensors, {name: value for name, value in attributes.items() if name != "training"})


def resize(resizings: Sequence[Resizing]) -> None:
    """Make the changes; a parameter that several modules share stays shared."""
    replaced: dict[int, nn.Parameter] = {}
    for resizing in resizings:
        for name, tensor in resizing.tensors.items():
            prefix, _, last = name.rpartition(".")
            owner = resizing.module.get_submodule(prefix)
            old = getattr(owner, last)
            if not isinstance(old, nn.Parameter):
                setattr(owner, last, _placed_like(tensor, old))
                continue
            if id(old) not in replaced:
                replaced[id(old)] = _parameter_like(tensor, old)
            setattr(owner, last, replaced[id(old)])
        for name, value in resizing.attributes.items():
            setattr(resizing.module, name, value)


def _parameter_like(tensor: torch.Tensor, old: nn.Parameter) -> nn.Parameter:
    """`tensor` as a parameter with the state of `old`."""
    parameter = nn.Parameter(_placed_like(tensor.detach(), old), requires_grad=old.requires_grad)
    vars(parameter).update(vars(old))
    return parameter


def _placed_like(tensor: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """`tensor` contiguous, with the device, the dtype and the memory format of `old`."""
    tensor = tensor.to(device=old.device, dtype=old.dtype)
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(old.dim(), torch.contiguous_format)
    if old.is_contiguous() or not old.is_contiguous(memory_format=last):
        return tensor.contiguous()
    return tensor.contiguous(memory_format=last)
