"""Images that grow during a training, and whether a network can take them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.errors import RecipeError
from trainers.inference import evaluation_mode
from trainers.training.recipe_config import ImageSizeSchedule

Size = tuple[int, int]
"""Height and width, in pixels."""


def image_size_at(epoch: int, epochs: int, full: Size, schedule: ImageSizeSchedule | None) -> Size:
    """The size of the images in `epoch`, counted from 1, of a training on images of the size `full`."""
    if schedule is None:
        return full
    stage = int((epoch - 1) / (schedule.full_from * epochs) * (schedule.stages - 1))
    if stage >= schedule.stages - 1:
        return full
    share = schedule.start + (1 - schedule.start) * stage / (schedule.stages - 1)
    height, width = (_round_to(side * share, schedule.multiple, side) for side in full)
    return height, width


def resize(images: Tensor, size: Size) -> Tensor:
    """Floats `(B, C, H, W) -> (B, C, *size)`, smoothed; unchanged where they have the size."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


@torch.no_grad()
def check_image_sizes(
    module: nn.Module,
    name: str,
    images: tuple[int, int, int],
    schedule: ImageSizeSchedule,
    epochs: int,
    device: torch.device | str = "cpu",
) -> None:
    """Run `module`, which is not changed, on images of each size.

    Args:
        module: the network, on `device`.
        name: what it is in the message: "network" or "teacher".
        images: (C, H, W), with the largest size.
        schedule: gives the others.
        epochs: number of epochs.
        device: of the images.

    Raises:
        RecipeError: the network cannot take images of one of them.
    """
    sizes = (image_size_at(epoch, epochs, images[1:], schedule) for epoch in range(1, epochs + 1))
    for height, width in dict.fromkeys(sizes):
        with evaluation_mode(module, torch.device(device)):
            try:
                module(torch.zeros(2, images[0], height, width, device=device))
            except Exception as error:  # networks document none
                reason = " ".join(str(error).split()) or type(error).__name__
                rule = f"must be absent for a {name} that cannot take images of {height}x{width} ({reason:.300})"
                raise RecipeError("image_size_schedule", rule) from error


def _round_to(value: float, multiple: int, limit: int) -> int:
    """The multiple next to `value`, at least one and at most `limit`."""
    return min(max(multiple, round(value / multiple) * multiple), limit)
