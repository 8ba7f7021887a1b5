"""Training-free scores on networks small enough to work out by hand, or naively, weight by weight and pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.measuring.training_free import naswot, synflow, weights, zico


def linear(rows: list[list[float]]) -> nn.Linear:
    """A layer without bias of those weights."""
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight = nn.Parameter(torch.tensor(rows))
    return layer


class Functional(nn.Module):
    """A network whose activations are functions; one works in place, one on windows of the images."""

    def __init__(self, first: nn.Linear, second: nn.Linear) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.first(x.flatten(1)))
        y = torch.relu_(self.second(y).view(2 * len(x), -1))
        return y.view(len(x), -1)


def small(seed: int = 0) -> nn.Sequential:
    """A convolutional network with norms, `(B, 1, 4, 4) -> (B, 3)`."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(),
        nn.Conv2d(4, 4, 1, bias=False), nn.GroupNorm(1, 4), nn.SiLU(),
        nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 3),
    )  # fmt: skip


def batches(count: int, size: int = 8) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    draw: Callable[..., Tensor] = torch.randn
    return [
        (draw(size, 1, 4, 4, generator=generator), torch.randint(3, (size,), generator=generator)) for _ in range(count)
    ]


def test_naswot_of_three_images_by_hand() -> None:
    network = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), nn.ReLU())
    images = torch.tensor([[1.0, 2.0], [1.0, -2.0], [-1.0, -1.0]]).view(3, 1, 1, 2)
    # Inputs of the ReLU: (1, 2, 3), (1, -2, -1), (-1, -1, -2), so codes 111, 100, 000. They agree in 3 on the diagonal,
    # in 1 for the first two, 0 for the first and last, 2 for the last two.
    expected = 3 * (9 - 4) - 1 * (3 - 0) + 0
    assert naswot(network, images) == pytest.approx(math.log(expected))


def test_naswot_counts_functions_like_modules() -> None:
    first = linear([[1.0, -1.0], [2.0, 1.0], [-1.0, 2.0]])
    second = linear([[1.0, 1.0, -1.0], [-1.0, 3.0, 1.0], [-1.0, -1.0, 2.0], [1.0, 0.0, 0.0]])
    images = torch.tensor([[1.0, 2.0], [3.0, -2.0], [-1.0, -4.0]]).view(3, 1, 1, 2)
    codes = []
    for image in images.flatten(1):
        inside = first.weight @ image
        codes.append([*(inside > 0).tolist(), *(second.weight @ F.gelu(inside) > 0).tolist()])
    agree = [[float(sum(p == q for p, q in zip(a, b, strict=True))) for b in codes] for a in codes]
    expected = float(torch.tensor(agree, dtype=torch.float64).det())
    modules = nn.Sequential(nn.Flatten(), first, nn.GELU(), second, nn.ReLU(inplace=True))
    assert naswot(modules, images) == pytest.approx(math.log(expected))
    assert naswot(Functional(first, second), images) == naswot(modules, images)


def test_naswot_of_images_with_equal_codes_is_minus_infinity() -> None:
    network = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0]]), nn.ReLU())
    assert naswot(network, torch.ones(2, 1, 1, 2)) == -math.inf


def test_synflow_of_two_layers_by_hand() -> None:
    # Ones through |W1| = [[1, 2], [3, 4]] give (3, 7), through |w2| = [5, 6] the sum 57. Each layer's weights carry all of
    # it: sum |w dR/dw| = 57 for the first, 57 for the second.
    network = nn.Sequential(nn.Flatten(), linear([[-1.0, 2.0], [3.0, -4.0]]), nn.ReLU(), linear([[5.0, -6.0]]))
    assert synflow(network, (1, 1, 2)) == pytest.approx(2 * 57)


def test_synflow_without_norms_and_with_biases_by_hand() -> None:
    body = [linear([[-1.0, 2.0], [3.0, -4.0]]), nn.ReLU(), linear([[5.0, -6.0]])]
    layer = nn.Linear(2, 2)
    layer.weight, layer.bias = body[0].weight, nn.Parameter(torch.tensor([-1.0, 1.0]))
    normed = nn.Sequential(nn.Flatten(), layer, nn.BatchNorm1d(2), nn.ReLU(), nn.LayerNorm(2), body[2])
    # The biases add 5 * 1 + 6 * 1 to what the second layer carries, nothing to the first.
    assert synflow(normed, (1, 1, 2)) == pytest.approx(57 + 68)


def test_zico_equals_a_loop_over_weights() -> None:
    network, some = small(), batches(3)
    gradients: list[list[Tensor]] = []
    for images, labels in some:
        network.train()
        network.zero_grad()
        F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad.double().flatten() for p in weights(network) if p.grad is not None])
    expected = 0.0
    for layer in range(3):
        total = 0.0
        for element in range(len(gradients[0][layer])):
            values = [float(batch[layer][element]) for batch in gradients]
            mean = sum(values) / 3
            deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 3)
            total += sum(map(abs, values)) / 3 / deviation
        expected += math.log(total)
    assert zico(network, some) == pytest.approx(expected, rel=1e-4)


def test_zico_leaves_out_elements_without_deviation() -> None:
    network = nn.Sequential(nn.Flatten(), linear([[1.0, 0.0], [0.0, 1.0]]))
    first = (torch.tensor([[1.0, 0.0]]).view(1, 1, 1, 2), torch.tensor([0]))
    second = (torch.tensor([[2.0, 0.0]]).view(1, 1, 1, 2), torch.tensor([0]))
    # The second pixel is always 0, and so are the gradients of its weights. Of the others, p the share of class 1:
    # dL/dw = -p x for class 0 and +p x for class 1, with p = 1 / (1 + e^x).
    slopes = [x / (1 + math.exp(x)) for x in (1.0, 2.0)]
    each = sum(slopes) / 2 / (abs(slopes[0] - slopes[1]) / 2)
    assert zico(network, [first, second]) == pytest.approx(math.log(2 * each), rel=1e-5)


def test_weights_are_trainable_and_have_two_dimensions() -> None:
    network = small()
    network[0].weight.requires_grad_(False)
    assert [tuple(weight.shape) for weight in weights(network)] == [(4, 4, 1, 1), (3, 64)]


@pytest.mark.parametrize("score", ["naswot", "synflow", "zico"])
def test_scores_are_repeatable_and_do_not_change_the_network(score: str) -> None:
    network, some = small().eval(), batches(2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run: dict[str, Callable[[], float]] = {
        "naswot": lambda: naswot(network, some[0][0]),
        "synflow": lambda: synflow(network, (1, 4, 4)),
        "zico": lambda: zico(network, some),
    }
    assert run[score]() == run[score]()
    assert math.isfinite(run[score]())
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: naswot(small(), batches(1)[0][0][:1]), "images: must be at least 2, found 1"),
        (lambda: naswot(nn.Flatten(), torch.ones(2, 1, 2, 2)), "no activation that switches"),
        (lambda: zico(small(), batches(1)), "batches: must be at least 2, found 1"),
        (lambda: zico(small(), [batches(1)[0]] * 2), "no gradient differs"),
    ],
)
def test_networks_that_cannot_be_scored_are_refused(call: Callable[[], float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
