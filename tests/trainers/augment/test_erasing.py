from __future__ import annotations

from random import Random

import pytest
import torch

from trainers.augment import Erasing


def test_rectangles_become_normal_noise() -> None:
    images = torch.full((400, 2, 16, 20), 7.0)
    result = Erasing(0.5)(images, Random(0), torch.Generator().manual_seed(0))
    changed = (result != 7.0).all(1)  # (B, H, W); all channels alike
    assert torch.equal(changed, (result != 7.0).any(1))
    erased = changed.flatten(1).any(1)
    assert 0.4 < erased.float().mean() < 0.6
    noise = result[(result != 7.0)]
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    for image in changed[erased]:
        rows, columns = image.any(1).nonzero()[:, 0], image.any(0).nonzero()[:, 0]
        area = len(rows) * len(columns)
        assert int(image.sum()) == area == int(rows[-1] - rows[0] + 1) * int(columns[-1] - columns[0] + 1)
        assert 0.01 < area / 320 < 0.4  # 0.02 to 1/3, and whole pixels


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 0), (1.0, 50)])
def test_probability(probability: float, expected: int) -> None:
    random = Random(1)
    assert sum(Erasing(probability).draw((32, 32), random) is not None for _ in range(50)) == expected


def test_the_same_generators_give_the_same_bits() -> None:
    one, two = (Erasing(0.7)(torch.ones(8, 3, 8, 8), Random(5), torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
