"""The batches of an epoch: picked, augmented, normalised and blended on the device where the images are.

Pixels are augmented a few batches at a time, so that the small operations that it takes cost nothing beside the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from trainers.augment import Augment, Blend, Normalise, joined, shares
from trainers.data.dataset import Dataset
from trainers.training.config import TrainConfig

# Pixels augmented at a time: on a CPU five batches of 64 at 32 pixels, which stay in a core's second cache.
BLOCK_BYTES = {"cpu": 2**20, "cuda": 2**26}


@dataclass(frozen=True)
class Batches:
    """The batches of `data.train`, in another order each epoch.

    Args:
        data: the images and labels.
        augment: what is done to the pixels.
        normalise: what makes floats of them.
        blend: what joins images in pairs.
        size: images of a batch; what is left over at the end of an epoch is not seen in it.
    """

    data: Dataset
    augment: Augment
    normalise: Normalise
    blend: Blend
    size: int

    @staticmethod
    def of(data: Dataset, config: TrainConfig) -> Batches:
        """As `config` has them; no larger than the data."""
        augment = Augment.of(config.augment or data.default_augment, data.image_size)
        normalise = Normalise(data.mean, data.std, data.image_size[1], data.device)
        size = min(config.batch_size, len(data.train))
        return Batches(data, augment, normalise, Blend(config.mixup, config.cutmix), size)

    def __len__(self) -> int:
        return len(self.data.train) // self.size

    def epoch(self, generator: torch.Generator, random: Random) -> Iterator[tuple[Tensor, Tensor]]:
        """Images, float32 `(B, C, H, W)`, channels last in memory, and their targets.

        Targets are labels, int64 `(B,)`, or shares of each class, float32 `(B, classes)`, where images are blended.

        Args:
            generator: of order and augmentation, on the device of the data.
            random: of the blending.
        """
        train, data = self.data.train, self.data
        block = self.size * max(1, BLOCK_BYTES[data.device.type] // (self.size * train.images[0].numel()))
        order = torch.randperm(len(train), generator=generator, device=generator.device).to(train.images.device)
        for chosen in order[: len(self) * self.size].split(block):
            picked, labels = train.pick(chosen)
            pixels = self.augment(picked, generator)
            for some, targets in zip(pixels.split(self.size), labels.split(self.size), strict=True):
                images = self.normalise(some)
                if self.blend:
                    pairing = self.blend.draw(data.image_size, random)
                    images, targets = joined(images, pairing), shares(targets, data.num_classes, pairing)
                yield images, targets
