from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trainers.measuring.memory import peak_memory_bytes


def test_a_chain_by_hand() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Flatten(), nn.Linear(1024, 10)
    )
    own = 4 * (3 * 8 * 9 + 8 + 8 * 16 + 16 + 1024 * 10 + 10)
    images = 4 * 2 * 3 * 64
    # Of each image 8 and 16 channels of 64 floats while the second convolution works, then 16 and 16 while they are brought
    # from channels last into a row; the caller holds the images.
    assert peak_memory_bytes(module, (3, 8, 8), batch_size=2) == own + images + 4 * 2 * (16 + 16) * 64


class Residual(nn.Module):
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(5):
            x = x + torch.relu(x * self.scale)  # what it was, the product, its rectification: the product is let go of
        return x


def test_freed_memory_does_not_count() -> None:
    images = 4 * 4 * 100
    # The images, x of the step before, and two temporaries.
    assert peak_memory_bytes(Residual(), (1, 10, 10), batch_size=4) == 4 + 4 * images


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.add_(1).view(-1).mul_(2)[:3]


def test_views_and_in_place_operations_take_no_memory() -> None:
    assert peak_memory_bytes(InPlace(), (1, 4, 4), batch_size=3) == 4 * 3 * 16


def test_the_mode_of_the_module_is_restored() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout()).train()
    peak_memory_bytes(module, (1, 4, 4), batch_size=1)
    assert module.training
    with pytest.raises(RuntimeError):
        peak_memory_bytes(module, (3, 4, 4), batch_size=1)
    assert module.training


@pytest.mark.parametrize("batch_size", [1, 7])
def test_it_grows_with_the_batch(batch_size: int) -> None:
    module = nn.Conv2d(3, 4, 1, bias=False)
    assert peak_memory_bytes(module, (3, 5, 5), batch_size=batch_size) == 4 * 12 + batch_size * 4 * 25 * (3 + 4)
