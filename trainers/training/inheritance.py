"""Weights that a network takes over from another one that was trained: the tensors that match by name and shape.

Unlike in network morphism (Chen et al., "Net2Net", 2016) nothing is transformed: a tensor without a match keeps its initial
values, and the function of the network is not that of the other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainers.training.weights_file import tensors_digest


@dataclass(frozen=True)
class CopiedTensors:
    """What `copy_matching` has copied.

    Args:
        names: of the tensors, in the order of the network.
        parameters: the share of the parameters of the network that were copied, 0 to 1; buffers do not count.
        digest: the SHA-256 of the copied tensors, by the order of their names.
    """

    names: tuple[str, ...]
    parameters: float
    digest: str


@torch.no_grad()
def copy_matching(module: nn.Module, weights: Mapping[str, Tensor]) -> CopiedTensors:
    """Copy those of `weights` into `module` that have the name, the shape and the type of one of its parameters or buffers.

    Args:
        module: it is changed in place.
        weights: those of another network, on the CPU; tensors that are not finite are left out.
    """
    state = module.state_dict()
    copied = {name: weights[name] for name, value in state.items() if name in weights and _fits(weights[name], value)}
    for name, value in copied.items():
        state[name].copy_(value)
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters()}
    count = sum(size for name, size in sizes.items() if name in copied)
    digest = tensors_digest((name, _bytes(copied[name])) for name in sorted(copied))
    return CopiedTensors(tuple(copied), count / max(1, sum(sizes.values())), digest)


def _fits(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and found.dtype == expected.dtype and bool(torch.isfinite(found).all())


def _bytes(value: Tensor) -> object:
    return value.contiguous().reshape(-1).view(torch.uint8).numpy()
