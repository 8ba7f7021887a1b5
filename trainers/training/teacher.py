"""Teachers: which can be used, and one that was made for other images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainers.data.dataset import Dataset
from trainers.errors import RecipeError
from trainers.training.image_sizes import Size, resize


class AdaptedTeacher(nn.Module):
    """A teacher that was trained on images of another size, mean or standard deviation than those of `data`.

    It takes the normalised images of `data`, `(B, C, H, W) -> (B, classes)`.

    Args:
        teacher: the network.
        data: gives the mean and the standard deviation of its input.
        mean, std: those that the teacher expects, of each channel.
        size: height and width that the teacher expects; None: any.
    """

    def __init__(
        self, teacher: nn.Module, data: Dataset, mean: Sequence[float], std: Sequence[float], size: Size | None = None
    ) -> None:
        super().__init__()
        self.teacher: Any = teacher
        self.size = size
        own_mean, own_std, teacher_mean, teacher_std = (
            torch.tensor(list(values)).view(1, -1, 1, 1) for values in (data.mean, data.std, mean, std)
        )
        self.register_buffer("scale", own_std / teacher_std)
        self.register_buffer("offset", (own_mean - teacher_mean) / teacher_std)

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W) -> (B, classes)`."""
        return self.teacher(self._adapt(images))

    def forward_intermediates(self, images: Tensor, indices: int) -> Any:
        """The teacher's own, for feature maps."""
        return self.teacher.forward_intermediates(self._adapt(images), indices=indices)

    def forward_head(self, features: Tensor) -> Tensor:
        """The teacher's own."""
        return self.teacher.forward_head(features)

    def _adapt(self, images: Tensor) -> Tensor:
        images = images * self.get_buffer("scale") + self.get_buffer("offset")
        return images if self.size is None else resize(images, self.size)


@torch.no_grad()
def check_teacher(teacher: nn.Module, data: Dataset) -> nn.Module:
    """`teacher`, in evaluation mode and without gradients, after it has been tried on two images of `data`.

    Raises:
        RecipeError: it cannot take these images, or has other classes.
    """
    teacher.eval().requires_grad_(False)
    height, width = data.image_size
    try:
        logits = teacher(torch.zeros(2, data.in_chans, height, width, device=data.device))
    except Exception as error:  # networks document none
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RecipeError("teacher", f"must take images of {data.in_chans}x{height}x{width} ({reason:.300})") from error
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (2, data.num_classes):
        raise RecipeError("teacher", f"must have the {data.num_classes} classes of the data, (2, classes)", shape)
    return teacher
