"""The curvature of a loss: extreme eigenvalues of its Hessian by Lanczos, without second derivatives of the layers.

A product of the Hessian with a vector v is the difference of the gradients at w + h v and w - h v, divided by 2 h, in double
precision. Fused attention and some layers of this project have no second derivatives; for those that have them, both agree to six
digits (`tests/nas/models/diagnose/test_curvature.py`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

STEP = 1e-3
"""Length of h v: its square is the order of the relative error, while rounding errors are 1e-13 of the gradient."""
MAX_ITERATIONS = 20
TOLERANCE = 0.01
"""Relative error of the greatest eigenvalue, by the residual, at which the iteration ends."""


@dataclass(frozen=True)
class ExtremeEigenvalues:
    """The greatest and the lowest eigenvalue of a Hessian.

    Args:
        greatest: the greatest one.
        lowest: the lowest one; in general further from its limit than the greatest.
        error: bound of the error of `greatest`: the norm of its residual.
        iterations: number of products.
    """

    greatest: float
    lowest: float
    error: float
    iterations: int


def hessian_eigenvalues(
    module: nn.Module, loss: Callable[[nn.Module], Tensor], on_product: Callable[[], None] = lambda: None
) -> ExtremeEigenvalues:
    """The extreme eigenvalues of the Hessian of `loss` with respect to all parameters of `module`.

    Args:
        module: it stays as it is; a copy in double precision is differentiated.
        loss: a function of that copy; its inputs must be in double precision, too.
        on_product: called after each product.

    Raises:
        FloatingPointError: a gradient is not finite.
    """
    twin = copy.deepcopy(module).double().requires_grad_(True)
    parameters = list(twin.parameters())
    generator = torch.Generator().manual_seed(0)
    device = parameters[0].device
    size = sum(parameter.numel() for parameter in parameters)
    vector = torch.randn(size, generator=generator, dtype=torch.float64).to(device)
    return lanczos(lambda v: _product(twin, parameters, loss, v), vector, on_product)


def lanczos(
    product: Callable[[Tensor], Tensor], vector: Tensor, on_product: Callable[[], None] = lambda: None
) -> ExtremeEigenvalues:
    """The extreme eigenvalues of the symmetric matrix that `product` multiplies by, by Lanczos without reorthogonalisation.

    The extreme Ritz values converge first and are not harmed by the lost orthogonality, which only repeats them.

    Args:
        product: `(n,) -> (n,)`.
        vector: the first vector, not zero.
        on_product: called after each product.

    Raises:
        FloatingPointError: a product is not finite.
    """
    previous, current = torch.zeros_like(vector), vector / vector.norm()
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image = product(current)
        on_product()
        diagonal.append(float(image @ current))
        image = image - diagonal[-1] * current - (beside[-1] if beside else 0.0) * previous
        length = float(image.norm())
        if not math.isfinite(length):
            raise FloatingPointError("the gradients of its loss are not finite")
        off = (
            torch.diag(torch.tensor(beside, dtype=torch.float64), 1)
            if beside
            else torch.zeros(1, 1, dtype=torch.float64)
        )
        matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + off + off.T
        values, vectors = torch.linalg.eigh(matrix)
        greatest, error = float(values[-1]), length * abs(float(vectors[-1, -1]))
        is_invariant = length <= 1e-10 * max(1.0, float(values.abs().max()))
        if is_invariant or error <= TOLERANCE * abs(greatest) or len(diagonal) == min(MAX_ITERATIONS, len(vector)):
            return ExtremeEigenvalues(greatest, float(values[0]), error, len(diagonal))
        previous, current = current, image / length
        beside.append(length)


def _product(
    module: nn.Module, parameters: list[nn.Parameter], loss: Callable[[nn.Module], Tensor], vector: Tensor
) -> Tensor:
    """The product of the Hessian with a `vector` of length 1."""
    pieces = vector.split([parameter.numel() for parameter in parameters])
    moves = [piece.view_as(parameter) for piece, parameter in zip(pieces, parameters, strict=True)]
    gradients = []
    for sign in (1.0, -1.0):
        with moved(parameters, moves, sign * STEP):
            gradient = torch.autograd.grad(loss(module), parameters, allow_unused=True, materialize_grads=True)
        gradients.append(torch.cat([part.flatten() for part in gradient]))
    return (gradients[0] - gradients[1]) / (2 * STEP)


@contextmanager
def moved(parameters: list[nn.Parameter], moves: list[Tensor], length: float) -> Iterator[None]:
    """Within the block `length` times `moves` are added to the `parameters`; afterwards they are as before, bit for bit."""
    originals = [parameter.detach().clone() for parameter in parameters]
    try:
        with torch.no_grad():
            for parameter, move in zip(parameters, moves, strict=True):
                parameter.add_(move, alpha=length)
        yield
    finally:
        with torch.no_grad():
            for parameter, original in zip(parameters, originals, strict=True):
                parameter.copy_(original)


def filter_normalised_direction(module: nn.Module, seed: int) -> list[Tensor]:
    """A random direction whose filters have the norms of those of `module` (Li et al., arXiv:1712.09913).

    A filter is an entry of the first axis of a parameter of two or more axes; biases and norms do not move.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = []
    for parameter in module.parameters():
        draw = torch.randn(parameter.shape, generator=generator).to(parameter.device, parameter.dtype)
        if parameter.dim() < 2:
            direction.append(torch.zeros_like(draw))
            continue
        norms, own = (tensor.detach().flatten(1).norm(dim=1) for tensor in (parameter, draw))
        direction.append(draw * (norms / own.clamp_min(1e-12)).view(-1, *[1] * (parameter.dim() - 1)))
    return direction


@torch.no_grad()
def loss_surface(
    module: nn.Module,
    loss: Callable[[nn.Module], Tensor],
    steps: list[float],
    on_loss: Callable[[], None] = lambda: None,
) -> list[list[float]]:
    """The loss on a plane through the weights, spanned by two filter-normalised directions.

    Args:
        module: it stays as it is; a copy is moved.
        loss: a function of that copy.
        steps: the coordinates along either direction, as shares of the norms of the filters.
        on_loss: called after each point.

    Returns:
        A row for each coordinate along the second direction, with a value for each along the first.
    """
    twin = copy.deepcopy(module)
    parameters = list(twin.parameters())
    first, second = (filter_normalised_direction(twin, seed) for seed in (0, 1))
    surface = []
    for up in steps:
        row = []
        for right in steps:
            moves = [right * x + up * y for x, y in zip(first, second, strict=True)]
            with moved(parameters, moves, 1.0):
                row.append(float(loss(twin)))
            on_loss()
        surface.append(row)
    return surface
