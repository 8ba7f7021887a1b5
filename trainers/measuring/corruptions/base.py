"""The registry of corruptions, and how strengths are scaled to the size of images.

    @register("gaussian_noise", "noise")
    def gaussian_noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor: ...

A corruption takes images `(B, C, H, W)` of 0..1 and returns such images, which `corrupt` clips to that range. Lengths (the radius
of a blur, a displacement) are proportional to the side of the image. Noise of a pixel is averaged over fewer pixels of an object
in a smaller image, so its standard deviation is proportional to the square root of the side. ImageNet-C has weaker strengths for
32 pixels (CIFAR-10-C) than for 224, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Kind: TypeAlias = Literal["noise", "blur", "light", "digital"]
Function: TypeAlias = Callable[[Tensor, int, torch.Generator], Tensor]

SEVERITIES = (1, 2, 3, 4, 5)
REFERENCE_SIDE = 224
"""Pixels a side of the images that strengths are given for."""


@dataclass(frozen=True)
class Corruption:
    """A corruption.

    Args:
        name: its name, as in ImageNet-C where that has it.
        kind: the group it belongs to.
        function: `(images (B, C, H, W) of 0..1, severity 1 to 5, generator on the CPU) -> images`.
    """

    name: str
    kind: Kind
    function: Function


CORRUPTIONS: dict[str, Corruption] = {}
"""Name -> corruption, in the order of registration."""


def register(name: str, kind: Kind) -> Callable[[Function], Function]:
    """Register the decorated function as the corruption `name`.

    Raises:
        ValueError: the name is registered already.
    """

    def add(function: Function) -> Function:
        if name in CORRUPTIONS:
            raise ValueError(f"corruption {name!r} is registered already")
        CORRUPTIONS[name] = Corruption(name, kind, function)
        return function

    return add


def corrupt(images: Tensor, name: str, severity: int, seed: int = 0) -> Tensor:
    """Corrupted copies of `images`, float32 `(B, C, H, W)` of 0..1, on their device.

    The random numbers depend on `name` and `seed` alone, so that a higher severity is the same corruption, but stronger.

    Raises:
        ValueError: there is no such corruption or severity.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"corruption: must be one of {', '.join(CORRUPTIONS)}, found {name!r}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity: must be from {SEVERITIES[0]} to {SEVERITIES[-1]}, found {severity!r}")
    return CORRUPTIONS[name].function(images, severity, seeded_generator(name, seed)).clamp(0, 1)


def seeded_generator(*words: object) -> torch.Generator:
    """A generator on the CPU, seeded with a digest of `words`: the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def side_of(images: Tensor) -> float:
    """The geometric mean of height and width, in pixels."""
    return float((images.shape[2] * images.shape[3]) ** 0.5)


def length_scale(images: Tensor) -> float:
    """The factor for lengths that are given in pixels of an image of `REFERENCE_SIDE`."""
    return side_of(images) / REFERENCE_SIDE


def noise_scale(images: Tensor) -> float:
    """The factor for standard deviations of noise that are given for images of `REFERENCE_SIDE`."""
    return length_scale(images) ** 0.5
