"""Training-free scores: numbers from an untrained network that are reported to rank architectures; higher is better.

    naswot    how different the activation patterns of different images are (Mellor et al., 2021, arXiv:2006.04647)
    synflow   the flow of a signal of ones through the absolute weights (Tanaka et al., 2020, arXiv:2006.05467)
    zico      how similar the gradients of different batches are (Li et al., 2023, arXiv:2301.11300)

They were designed for networks of convolutions, linear layers, batch norms and ReLUs. The docstring of each says how it
treats other layers. A *weight* here is a learned parameter of two dimensions or more: kernels and matrices, but also the
filters and position tables of other mixers; norms, biases and scales are not weights.

The module is not changed: each score works on a copy. Images are floats, normalised as for training, `(B, C, H, W)`.
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

SWITCHING_ACTIVATIONS: frozenset[Callable[..., Any]] = frozenset(
    {
        F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.gelu, F.silu, F.mish, F.leaky_relu, F.prelu,
        F.relu6, F.hardtanh, F.hardswish, F.elu, F.selu, F.celu, F.softplus,
    }
)  # fmt: skip
"""Activations that are, exactly or nearly, off below zero and on above."""


def naswot(module: nn.Module, images: Tensor) -> float:
    """The log determinant of the matrix of agreements between the activation patterns of the images.

    The code of an activation for an image is 1 where its input is positive. That is the definition for ReLU; GELU, SiLU and
    similar activations, which have no kink, are treated in the same way. Calls of functions count like modules. Batch norms
    use the statistics of the batch.

    Args:
        module: `(B, C, H, W) -> (B, classes)`.
        images: `(B, C, H, W)`, B at least 2, all different.

    Returns:
        log |det K| of the `(B, B)` matrix K of the number of agreements; minus infinity if two images have equal codes.

    Raises:
        ValueError: there are fewer than two images, or the network has no such activation.
    """
    if len(images) < 2:
        raise ValueError(f"images: must be at least 2, found {len(images)}")
    network = copy.deepcopy(module).train()
    recorder = _AgreementCounter(len(images))
    with torch.no_grad(), recorder:
        network(images)
    if recorder.agreements is None:
        raise ValueError("the network has no activation that switches at zero")
    return float(torch.linalg.slogdet(recorder.agreements).logabsdet)


class _AgreementCounter(TorchFunctionMode):
    """While active, counts for each pair of images the activations that agree: `agreements` `(B, B)`, float64."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.agreements: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in SWITCHING_ACTIVATIONS:
            self._count((*args, *(kwargs or {}).values())[0])  # before the call, which may write in place
        return func(*args, **(kwargs or {}))

    def _count(self, inputs: Tensor) -> None:
        if inputs.shape[0] % self.batch:
            return  # not computed from the images, such as a parameter
        on = (inputs.reshape(self.batch, -1) > 0).float()  # windows of one image are in one row
        off = 1 - on
        agreements = (on @ on.T + off @ off.T).double()
        self.agreements = agreements if self.agreements is None else self.agreements + agreements


def synflow(module: nn.Module, shape: Sequence[int]) -> float:
    """The sum over weights of |w dR/dw|, R the sum of the outputs for an image of ones through the absolute weights.

    Computed in double precision, in evaluation mode and, as in the literature, without norms: normalisation by the batch would
    cancel the flow, and with the running statistics of an untrained network it is the identity.

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

    As its authors compute it: cross-entropy in training mode; the deviation is that of the signed gradients, divided by the
    number of batches; elements without deviation are left out.

    Args:
        module: `(B, C, H, W) -> (B, classes)`.
        batches: at least two.

    Raises:
        ValueError: there are fewer than two batches, or no gradient differs between them.
    """
    if len(batches) < 2:
        raise ValueError(f"batches: must be at least 2, found {len(batches)}")
    network = copy.deepcopy(module).train()
    parameters = weights(network)
    gradients: list[list[Tensor]] = [[] for _ in parameters]
    for images, labels in batches:
        network.zero_grad()
        torch.autograd.backward(F.cross_entropy(network(images), labels))
        for weight, of_weight in zip(parameters, gradients, strict=True):
            of_weight.append(torch.zeros_like(weight) if weight.grad is None else weight.grad.detach().clone())
    terms = [term for of_weight in gradients if (term := _inverse_variation(torch.stack(of_weight))) > 0]
    if not terms:
        raise ValueError("no gradient differs between the batches")
    return float(torch.tensor(terms, dtype=torch.float64).log().sum())


def _inverse_variation(gradients: Tensor) -> float:
    """`(batches, ...)` -> the sum of mean|g| / std(g) over the elements whose deviation is not zero."""
    deviation = gradients.std(dim=0, correction=0)
    varies = deviation > 0
    return float((gradients.abs().mean(dim=0)[varies] / deviation[varies]).double().sum())


def weights(module: nn.Module) -> list[nn.Parameter]:
    """The weights of `module`: its trainable parameters of two dimensions or more."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim > 1]


def _without_norms(module: nn.Module) -> nn.Module:
    """`module` with each norm replaced by the identity; a norm itself becomes the identity."""
    if isinstance(module, NORMS):
        return nn.Identity()
    for name, child in module.named_children():
        setattr(module, name, _without_norms(child))
    return module
