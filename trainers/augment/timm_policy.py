"""timm's augmentation policies by name, image by image on PIL: RandAugment, AutoAugment, AugMix, 3-Augment.

They draw from the global generators of Python and numpy. Each image has a seed of its own, so that the pixels depend on nothing
else; afterwards the generators are as before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainers.augment.placement import Placement
from trainers.errors import RecipeError

ALIASES = {"3augment": "3a"}
"""Names of papers and what timm calls them."""
MAX_REPEATS = 20
"""Policies of timm may draw a posterization to 0 bits, which Pillow now refuses: the image is then drawn again."""


@dataclass(frozen=True)
class TimmPolicy:
    """A policy of timm's, and after it moving and mirroring of whole batches.

    Args:
        policy: its name in timm, such as "rand-m9-mstd0.5-inc1", "original", "augmix-m3-w3" or "3a".
        placement: random crop and mirroring.
        transform: what timm makes of the name.
    """

    policy: str
    placement: Placement
    transform: Callable[[Image.Image], Image.Image] = field(repr=False)

    @staticmethod
    def of(policy: str, mean: Sequence[float], image_size: tuple[int, int]) -> TimmPolicy:
        """The policy of this name, for images of `(H, W)` pixels with this `mean` of each channel, which fills borders.

        Images are moved by up to an eighth of their size and mirrored, as in "standard".

        Raises:
            RecipeError: timm has no such policy, or the images are neither grey nor RGB.
        """
        if len(mean) not in (1, 3):
            raise RecipeError("augment", f"must not be timm's for images of {len(mean)} channels", f"timm:{policy}")
        placement = Placement(flip=True, shift=max(1, min(image_size) // 8), cutout=0)
        return TimmPolicy(policy, placement, timm_transform(policy, mean, image_size))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment uint8 `(B, C, H, W)` images with new random numbers of `generator`, which is on the images' device."""
        seeds = torch.randint(2**32, (len(images),), generator=generator, device=generator.device).tolist()
        pixels = images.permute(0, 2, 3, 1).cpu().numpy()
        with _global_generators_restored():
            changed = np.stack([self._change(image, seed) for image, seed in zip(pixels, seeds, strict=True)])
        result = torch.from_numpy(changed).to(images.device).permute(0, 3, 1, 2).contiguous()
        return self.placement(result, generator)

    def _change(self, pixels: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, Any]:
        """One image, uint8 `(H, W, C)`, with the random numbers of `seed`, or of the next one that Pillow accepts."""
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        for attempt in range(MAX_REPEATS):
            try:
                changed = self._transformed(image, seed + attempt)
            except ValueError:
                continue
            return changed.reshape(pixels.shape)
        return self._transformed(image, seed + MAX_REPEATS).reshape(pixels.shape)

    def _transformed(self, image: Image.Image, seed: int) -> np.ndarray[Any, Any]:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - timm draws from it
        return np.asarray(self.transform(image), dtype=np.uint8)


def timm_transform(
    policy: str, mean: Sequence[float], image_size: tuple[int, int]
) -> Callable[[Image.Image], Image.Image]:
    """What timm's own loader makes of the name of a policy.

    Raises:
        RecipeError: timm has no such policy.
    """
    from timm.data.auto_augment import augment_and_mix_transform, auto_augment_transform, rand_augment_transform

    name = ALIASES.get(policy, policy)
    fill = tuple(min(255, round(255 * value)) for value in mean)
    options: dict[str, Any] = {
        "translate_const": int(min(image_size) * 0.45),
        "img_mean": fill if len(fill) > 1 else fill[0],
    }
    try:
        for section in name.split("-")[1:]:
            if not section.startswith("t") and not any(character.isdigit() for character in section):
                raise ValueError(f"{section!r} has no number")  # timm ignores it
        if name.startswith("augmix"):
            return augment_and_mix_transform(name, {**options, "translate_pct": 0.3})
        return (rand_augment_transform if name.startswith("rand") else auto_augment_transform)(name, options)
    except (AssertionError, ValueError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())
        rule = (
            f"must be a policy of timm's (rand-m9-mstd0.5-inc1, original, v0, 3a, augmix-m3-w3 and the like; {reason})"
        )
        raise RecipeError("augment", rule, f"timm:{policy}") from error


@contextmanager
def _global_generators_restored() -> Iterator[None]:
    """After the block the generators of Python and numpy are as before."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
