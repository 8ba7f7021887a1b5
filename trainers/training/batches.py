"""The batches of an epoch: picked, augmented, normalised and blended on the device of the data.

Pixels are augmented a few batches at a time, so that the many small operations of augmentation cost little compared with the
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from trainers.augment import Augment, Blend, Erasing, Normalise, blend_images, blend_labels
from trainers.data.dataset import Dataset
from trainers.training.config import TrainConfig

# Bytes of pixels augmented at a time: on a CPU five batches of 64 at 32 pixels, which stay in a core's L2 cache.
BLOCK_BYTES = {"cpu": 2**20, "cuda": 2**26}


@dataclass(frozen=True)
class Batches:
    """The batches of `data.train`, in a different order each epoch.

    Args:
        data: the images and labels.
        augment: changes the uint8 pixels.
        normalise: converts pixels to floats.
        blend: mixup and cutmix.
        size: images of a batch; the incomplete last batch of an epoch is dropped.
        erasing: random erasing; None: none.
    """

    data: Dataset
    augment: Callable[[Tensor, torch.Generator], Tensor]
    normalise: Normalise
    blend: Blend
    size: int
    erasing: Erasing | None = None

    @staticmethod
    def of(data: Dataset, config: TrainConfig) -> Batches:
        """The batches that `config` describes; a batch is never larger than the train split."""
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
            generator: draws the order and the augmentation; on the device of the data.
            random: draws the blending and the erased rectangles.
        """
        train, data = self.data.train, self.data
        block = self.size * max(1, BLOCK_BYTES[data.device.type] // (self.size * train.images[0].numel()))
        order = torch.randperm(len(train), generator=generator, device=generator.device).to(train.images.device)
        for rows in order[: len(self) * self.size].split(block):
            pixels, labels = train.pick(rows)
            pixels = self.augment(pixels, generator)
            for batch, targets in zip(pixels.split(self.size), labels.split(self.size), strict=True):
                images = self.normalise(batch)
                if self.erasing is not None:
                    images = self.erasing(images, random, generator)
                if self.blend:
                    pairing = self.blend.draw(data.image_size, random)
                    images = blend_images(images, pairing)
                    targets = blend_labels(targets, data.num_classes, pairing)
                yield images, targets
