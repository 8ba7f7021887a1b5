"""Training-free scores: numbers from a network as it is initialised that are said to rank architectures, higher is better.

    naswot    how differently the activations switch for different images (Mellor et al., 2021, arXiv:2006.04647)
    synflow   the flow of a signal of ones through the absolute weights (Tanaka et al., 2020, arXiv:2006.05467)
    zico      how alike the gradients of different batches are (Li et al., 2023, arXiv:2301.11300)

They were made for networks of convolutions, linear layers, batch norms and ReLUs. What they take other parts for is said
at each. A *weight* here is a learned parameter of two dimensions or more: kernels and matrices, but also the filters and
position tables of other mixers; norms, biases and scales are none.

The module given is left as it is: each score works on a copy. Images are floats, normalised as for training, `(B, C, H, W)`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Batch = tuple[Tensor, Tensor]
"""Images `(B, C, H, W)` and their labels `(B,)`."""

NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip

SWITCHES: frozenset[Callable[..., Any]] = frozenset(
    {
        F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.gelu, F.silu, F.mish, F.leaky_relu, F.prelu,
        F.relu6, F.hardtanh, F.hardswish, F.elu, F.selu, F.celu, F.softplus,
    }
)  # fmt: skip
"""Activations that are, or nearly are, off for numbers below zero and on above."""


def naswot(module: nn.Module, images: Tensor) -> float:
    """The log determinant of how many activations of the network agree between two images.

    An activation's code for an image is 1 where its input is positive: so ReLU's, and that of GELU, SiLU and their like,
    which have no kink, is taken from the sign of their inputs too. Calls of functions count as modules do. Batch norms
    take the statistics of the batch.

    Args:
        module: `(B, C, H, W) -> (B, classes)`.
        images: `(B, C, H, W)`, B at least 2, no two alike.

    Returns:
        log |det K| of the `(B, B)` matrix K that counts agreements; minus infinity if two images have equal codes.

    Raises:
        ValueError: there are fewer than two images, or the network has no such activation.
    """
    if len(images) < 2:
        raise ValueError(f"images: must be 2 at least, found {len(images)}")
    network = copy.deepcopy(module).train()
    codes = _Codes(len(images))
    with torch.no_grad(), codes:
        network(images)
    if codes.agreements is None:
        raise ValueError("the network has no activation that switches at zero")
    return float(torch.linalg.slogdet(codes.agreements).logabsdet)


class _Codes(TorchFunctionMode):
    """While it lasts, counts for each pair of images the activations that agree: `agreements` `(B, B)`, float64."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.agreements: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in SWITCHES:
            self._count((*args, *(kwargs or {}).values())[0])  # before it runs, for it may write in place
        return func(*args, **(kwargs or {}))

    def _count(self, inputs: Tensor) -> None:
        if inputs.shape[0] % self.batch:
            return  # of something that is not the images', such as a parameter
        on = (inputs.reshape(self.batch, -1) > 0).float()  # windows of an image stand beside each other
        off = 1 - on
        agreements = (on @ on.T + off @ off.T).double()
        self.agreements = agreements if self.agreements is None else self.agreements + agreements


def synflow(module: nn.Module, shape: Sequence[int]) -> float:
    """The sum over weights of |w dR/dw|, R the sum of the outputs for an image of ones through the absolute weights.

    In double precision, in evaluation mode and, as the literature has it, without norms: a norm of a batch would undo the
    flow, and that of a fresh network's running statistics is the identity.

    Args:
        module: `(B, C, H, W) -> (B, classes)`.
        shape: (C, H, W) of an image.
    """
    network = _without_norms(copy.deepcopy(module)).eval().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    first = next(network.parameters())
    network.zero_grad()
    torch.autograd.backward(network(torch.ones(1, *shape, dtype=torch.float64, device=first.device)).sum())
    flows = [(w.detach() * w.grad).abs().sum() for w in weights(network) if w.grad is not None]
    return float(torch.stack(flows).sum())


def zico(module: nn.Module, batches: Sequence[Batch]) -> float:
    """The sum over weights of log sum_i mean|g_i| / std(g_i), mean and deviation over batches of the gradients g.

    As its authors compute it: cross-entropy in training mode, the deviation that of the gradients with their signs,
    divided by the number of batches, and elements of no deviation left out.

    Args:
        module: `(B, C, H, W) -> (B, classes)`.
        batches: two at least.

    Raises:
        ValueError: there are fewer than two batches, or no gradient differs between them.
    """
    if len(batches) < 2:
        raise ValueError(f"batches: must be 2 at least, found {len(batches)}")
    network = copy.deepcopy(module).train()
    wanted = weights(network)
    gradients: list[list[Tensor]] = [[] for _ in wanted]
    for images, labels in batches:
        network.zero_grad()
        torch.autograd.backward(F.cross_entropy(network(images), labels))
        for weight, found in zip(wanted, gradients, strict=True):
            found.append(torch.zeros_like(weight) if weight.grad is None else weight.grad.detach().clone())
    terms = [term for found in gradients if (term := _agreement(torch.stack(found))) > 0]
    if not terms:
        raise ValueError("no gradient differs between the batches")
    return float(torch.tensor(terms, dtype=torch.float64).log().sum())


def _agreement(gradients: Tensor) -> float:
    """`(batches, ...)` -> the sum of mean|g| / std(g) over the elements whose deviation is not zero."""
    deviation = gradients.std(dim=0, correction=0)
    moves = deviation > 0
    return float((gradients.abs().mean(dim=0)[moves] / deviation[moves]).double().sum())


def weights(module: nn.Module) -> list[nn.Parameter]:
    """The weights of `module`: its trainable parameters of two dimensions or more."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim > 1]


def _without_norms(module: nn.Module) -> nn.Module:
    """`module` with the identity in the place of each norm; a norm alone becomes the identity."""
    if isinstance(module, NORMS):
        return nn.Identity()
    for name, child in module.named_children():
        setattr(module, name, _without_norms(child))
    return module
