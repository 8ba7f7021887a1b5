"""mixup and cutmix by hand and against timm's."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.data.mixup import mixup_target, rand_bbox

from trainers.augment import Blend, blend_images, blend_labels
from trainers.augment.blend import Pairing


def test_mixup_by_hand() -> None:
    images = torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1, 1).expand(3, 2, 2, 2).contiguous()
    before = images.clone()
    result = blend_images(images, Pairing(0.75, None))
    assert result[:, 0, 0, 0].tolist() == [0.75 * 1 + 0.25 * 4, 2.0, 0.75 * 4 + 0.25 * 1]
    assert torch.equal(images, before)
    expected = [[0.75, 0.0, 0.25], [0.0, 1.0, 0.0], [0.25, 0.0, 0.75]]
    assert blend_labels(torch.tensor([0, 1, 2]), 3, Pairing(0.75, None)).tolist() == expected


def test_cutmix_by_hand() -> None:
    images = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    result = blend_images(images, Pairing(0.75, (1, 3, 0, 2)))
    assert result[0, 0].tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert torch.equal(result[1], 1 - result[0])
    assert float(images.sum()) == 16


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_is_that_of_timms_targets(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(8, 5, generator=generator), torch.randint(5, (8,), generator=generator)
    ours = F.cross_entropy(logits, blend_labels(labels, 5, Pairing(share, None)), label_smoothing=0.1)
    targets = mixup_target(labels, 5, share, smoothing=0.1)
    torch.testing.assert_close(ours, -(targets * logits.log_softmax(1)).sum(1).mean())


def test_rectangles_are_those_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(200):
        pairing = Blend(0.0, 1.0).draw((12, 20), Random(seed))
        random = Random(seed)
        share, centre = random.betavariate(1, 1), iter([random.randrange(12), random.randrange(20)])
        monkeypatch.setattr(np.random, "randint", lambda low, high, size, centre=centre: next(centre))
        expected = tuple(int(value) for value in rand_bbox((3, 12, 20), share))
        assert pairing.box == expected
        top, bottom, left, right = expected
        assert pairing.share == 1 - (bottom - top) * (right - left) / 240


def test_shares_are_of_the_beta_distribution() -> None:
    random = Random(0)
    drawn = [Blend(0.4, 0.0).draw((8, 8), random) for _ in range(20_000)]
    assert all(pairing.box is None for pairing in drawn)
    values = np.array([pairing.share for pairing in drawn])
    variance = 1 / (4 * (2 * 0.4 + 1))  # of beta(a, a)
    assert abs(values.mean() - 0.5) < 5 * (variance / 20_000) ** 0.5
    assert values.var() == pytest.approx(variance, rel=0.03)


def test_mixup_and_cutmix_alternate() -> None:
    random = Random(0)
    cut = [Blend(0.2, 1.0).draw((8, 8), random).box is not None for _ in range(4000)]
    assert abs(sum(cut) - 2000) < 5 * 1000**0.5


def test_off() -> None:
    assert not Blend(0.0, 0.0)
    assert Blend(0.1, 0.0)
    assert Blend(0.0, 0.1)
