"""Eigenvalues against the whole Hessian of torch's second derivatives; the loss surface of a quadratic."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.models.diagnose.curvature import (
    TOLERANCE,
    filter_normalised_direction,
    hessian_eigenvalues,
    lanczos,
    loss_surface,
)

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(30, 6, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(3, (30,), generator=GENERATOR)


def cross_entropy(module: nn.Module) -> Tensor:
    return F.cross_entropy(module(INPUTS), LABELS)


def whole_hessian(module: nn.Module) -> Tensor:
    """The Hessian of `cross_entropy`, by torch's second derivatives."""
    names = [name for name, _ in module.named_parameters()]
    parameters = [parameter.detach().double() for parameter in module.parameters()]
    sizes = [parameter.numel() for parameter in parameters]

    def loss(flat: Tensor) -> Tensor:
        pieces = [piece.view_as(p) for piece, p in zip(flat.split(sizes), parameters, strict=True)]
        outputs = torch.func.functional_call(module, dict(zip(names, pieces, strict=True)), (INPUTS,))
        return F.cross_entropy(outputs, LABELS)

    return torch.autograd.functional.hessian(loss, torch.cat([parameter.flatten() for parameter in parameters]))


def linear() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Linear(6, 3)


def perceptron() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 3))


@pytest.mark.parametrize("module", [linear(), perceptron()])
def test_the_greatest_eigenvalue_is_that_of_the_whole_hessian(module: nn.Module) -> None:
    values = torch.linalg.eigvalsh(whole_hessian(module))
    before = [parameter.clone() for parameter in module.parameters()]
    products: list[None] = []
    found = hessian_eigenvalues(module, cross_entropy, on_product=lambda: products.append(None))
    assert found.greatest == pytest.approx(float(values[-1]), rel=TOLERANCE)
    assert abs(found.greatest - float(values[-1])) <= found.error + 1e-6
    assert float(values[0]) - 1e-6 <= found.lowest <= float(values[-1])
    assert found.iterations == len(products) <= 20
    assert found == hessian_eigenvalues(module, cross_entropy)
    assert all(torch.equal(*pair) for pair in zip(before, module.parameters(), strict=True))


def test_lanczos_ends_in_an_invariant_space() -> None:
    matrix = torch.diag(torch.tensor([3.0, -5.0, 1.0], dtype=torch.float64))
    found = lanczos(lambda v: matrix @ v, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    assert (found.greatest, found.lowest) == pytest.approx((3.0, -5.0))
    assert found.iterations == 2


def test_lanczos_ends_where_a_product_is_not_finite() -> None:
    with pytest.raises(FloatingPointError, match="gradients of its loss are not finite"):
        lanczos(lambda v: v * torch.inf, torch.ones(3, dtype=torch.float64))


def test_a_direction_has_the_norms_of_the_filters() -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
    weight, *others = filter_normalised_direction(module, seed=0)
    own = module[0].weight.detach()
    assert torch.allclose(weight.flatten(1).norm(dim=1), own.flatten(1).norm(dim=1))
    assert not torch.allclose(weight, own)
    assert [float(other.abs().sum()) for other in others] == [0.0, 0.0, 0.0]
    assert torch.equal(weight, filter_normalised_direction(module, seed=0)[0])


def test_the_surface_of_a_quadratic_is_a_parabola() -> None:
    module = nn.Linear(4, 3, bias=False)
    first, second = (filter_normalised_direction(module, seed)[0] for seed in (0, 1))
    weight = module.weight.detach().clone()
    steps = [-1.0, 0.0, 0.5]
    surface = loss_surface(module, lambda twin: twin.weight.square().sum(), steps)  # type: ignore[union-attr, operator]
    for up, row in zip(steps, surface, strict=True):
        for right, value in zip(steps, row, strict=True):
            assert value == pytest.approx(float((weight + right * first + up * second).square().sum()), rel=1e-5)
    assert torch.equal(module.weight.detach(), weight)
