"""A preset on the images of a study: another image size, other channels and classes and, on small images, smaller patches.

Presets are made for images of 224 pixels. On smaller ones a stem with the published patches leaves a map of one or two positions,
and the network would be a straw man. So its patch becomes the largest divisor of the published one that leaves `MIN_MAP`
positions a side after the last stage, as the published pyramids have on their images; where none does, the smallest that fits.
Nothing else changes: widths, depths, mixers and norms are those of the preset.
"""

from __future__ import annotations

from nas.errors import UsageError
from nas.formatting import count
from search_space import Architecture, presets
from search_space.errors import SpaceError
from trainers.data.description import DatasetInfo

MIN_MAP = 7
"""Positions a side after the last stage; the published pyramids have 7 on images of 224 pixels."""


def adapt_preset(name: str, images: DatasetInfo, keep_patch: bool = False) -> Architecture:
    """The preset `name` for `images`.

    Args:
        name: the name of a preset.
        images: their size, channels and classes are taken.
        keep_patch: whether the patch stays, as published weights need it.

    Raises:
        UsageError: the preset cannot take images of that size.
    """
    published = presets.get(name)
    patches = [published.stem.patch] if keep_patch else _divisors(published.stem.patch)
    fitting: list[Architecture] = []
    for patch in patches:  # the largest first
        try:
            adapted = _on(published, images, patch)
        except SpaceError:
            continue
        if min(adapted.sizes[-1]) >= MIN_MAP:
            return adapted
        fitting.append(adapted)
    if fitting:
        return fitting[0] if keep_patch else fitting[-1]
    try:
        return _on(published, images, published.stem.patch)
    except SpaceError as error:
        height, width = images.image_size
        raise UsageError(f"{name}: the preset cannot take images of {height}x{width} pixels: {error}") from None


def describe_adaptation(name: str, adapted: Architecture) -> str:
    """How `adapted` differs from the preset `name`, in a line; empty if it does not."""
    published = presets.get(name)
    height, width = adapted.image_size
    parts = {
        f"images of {height}x{width}": published.image_size != adapted.image_size,
        count(adapted.in_chans, "channel"): published.in_chans != adapted.in_chans,
        f"{adapted.num_classes} classes": published.num_classes != adapted.num_classes,
        f"patch {adapted.stem.patch} instead of {published.stem.patch}": published.stem.patch != adapted.stem.patch,
    }
    changes = ", ".join(part for part, is_changed in parts.items() if is_changed)
    return f"{name}: {changes}" if changes else ""


def _on(published: Architecture, images: DatasetInfo, patch: int) -> Architecture:
    """The architecture with other patches, and for other images.

    Raises:
        SpaceError: it does not fit.
    """
    return published.replace(
        stem=published.stem.replace(patch=patch),
        image_size=images.image_size,
        in_chans=images.in_chans,
        num_classes=images.num_classes,
    )


def _divisors(number: int) -> list[int]:
    """The divisors of `number`, the largest first."""
    return [divisor for divisor in range(number, 0, -1) if number % divisor == 0]
