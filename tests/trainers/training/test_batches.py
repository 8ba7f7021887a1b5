"""The batches of an epoch: each image once, whatever the block in which it was augmented."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest
import torch

from trainers.augment import normalise
from trainers.data.dataset import Dataset, Split
from trainers.training import batches
from trainers.training.batches import Batches
from trainers.training.config import TrainConfig


def epoch(made: Batches, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(made.epoch(torch.Generator().manual_seed(seed), Random(seed)))


@pytest.mark.parametrize("block_bytes", [1, 32 * 64, 5 * 32 * 64, 2**21])
def test_each_image_once_with_its_label(block_bytes: int, few_digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BLOCK_BYTES", {"cpu": block_bytes})
    made = Batches.of(few_digits, TrainConfig(batch_size=32, augment="none"))
    found = epoch(made)
    assert len(found) == len(made) == len(few_digits.train) // 32
    known = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(
            normalise(few_digits.train.images, few_digits.mean, few_digits.std), few_digits.train.labels, strict=True
        )
    }
    seen = [image.numpy().tobytes() for images, _ in found for image in images]
    assert len(set(seen)) == len(seen) == 32 * len(made)
    assert [known[image] for image in seen] == torch.cat([labels for _, labels in found]).tolist()


def test_images_are_channels_last_in_memory() -> None:
    pixels = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(pixels, torch.arange(40) % 4)
    data = Dataset("noise", tuple("abcd"), split, split, split, (0.5,) * 3, (0.2,) * 3, "0", "standard")
    for config in (TrainConfig(batch_size=16), TrainConfig(batch_size=16, mixup=0.2, cutmix=1.0)):
        for images, _ in epoch(Batches.of(data, config)):
            assert images.shape == (16, 3, 8, 8)
            assert images.is_contiguous(memory_format=torch.channels_last)


def test_images_and_labels_are_blended_with_the_same_weights(few_digits: Dataset) -> None:
    """With mixup alone, an image and its target are the same weighted sums, whose weights the target shows."""
    plain = Batches.of(few_digits, TrainConfig(batch_size=32, augment="none"))
    mixed = dataclasses.replace(plain, blend=dataclasses.replace(plain.blend, mixup=0.4))
    unlike = 0
    for (images, labels), (blended, shares) in zip(epoch(plain), epoch(mixed), strict=True):
        assert shares.shape == (32, 10)
        torch.testing.assert_close(shares.sum(1), torch.ones(32))
        index = int((labels != labels.flip(0)).nonzero()[0])
        share = float(shares[index, labels[index]])
        torch.testing.assert_close(blended, share * images + (1 - share) * images.flip(0))
        unlike += not torch.equal(images, blended)
    assert unlike > 0


def test_the_same_generators_give_the_same_batches(few_digits: Dataset) -> None:
    made = Batches.of(few_digits, TrainConfig(augment="strong", mixup=0.2, cutmix=1.0))
    for (one, ones), (two, twos) in zip(epoch(made), epoch(made), strict=True):
        assert torch.equal(one, two)
        assert torch.equal(ones, twos)
    assert not torch.equal(epoch(made, 0)[0][0], epoch(made, 1)[0][0])
