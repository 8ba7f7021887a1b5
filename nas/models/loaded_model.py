"""A model that classifies images, whoever made it, and what it says of its images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from nas.errors import UsageError
from trainers.data.resizing import STUDY_RESIZING, Resizing

ModelKind = Literal["export", "timm", "onnx", "trial", "retrained"]

MAX_SIDE = 8192
"""Pixels a side of the images of a model, and of those that it is shown the centre of."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that classifies images.

    Args:
        name: as the user named it.
        kind: what it is.
        module: normalised images, float32 `(B, C, H, W)` -> logits `(B, classes)`; in evaluation mode, on the CPU.
        input_shape: (C, H, W).
        mean, std: of each channel, pixels taken as 0..1; None: the model does not say.
        class_names: an output is an index into it; None: the model does not say.
        num_classes: number of outputs.
        crop_share: side of the part of an image that is shown to the model, over the shorter side of the image.
        resizing: how images of other sizes become squares.
        is_movable: whether `module` runs on other devices than the CPU.
        has_weights: False: `module` stands for a model of timm's whose weights are not loaded yet (`loading.with_weights`).

    Raises:
        UsageError: a field breaks its rule; what a model says of itself may be anything.
    """

    name: str
    kind: ModelKind
    module: nn.Module
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    class_names: tuple[str, ...] | None
    num_classes: int
    crop_share: float = 1.0
    resizing: Resizing = STUDY_RESIZING
    is_movable: bool = True
    has_weights: bool = True

    def __post_init__(self) -> None:
        sides = self.input_shape[1:]
        if not all(_is_whole(size) and size > 0 for size in self.input_shape) or max(sides) > MAX_SIDE:
            raise UsageError(
                f"{self.name}: input_size: must be (channels, height, width) of at most {MAX_SIDE} pixels, found"
                f" {self.input_shape!r:.60}"
            )
        if not max(sides) / MAX_SIDE <= self.crop_share <= 1:
            raise UsageError(f"{self.name}: crop_pct: must be a share of the image, found {self.crop_share:g}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and not all(is_finite(v) and (v > 0 or name == "mean") for v in values):
                rule = "numbers" if name == "mean" else "numbers above 0"
                raise UsageError(f"{self.name}: {name}: must be {rule}, found {values!r:.60}")

    def normalised_by(self, mean: Sequence[float] | None, std: Sequence[float] | None) -> LoadedModel:
        """The model with another mean and standard deviation, where they are given.

        Raises:
            UsageError: one is missing, or has another number of channels.
        """
        chosen = {"mean": tuple(mean) if mean else self.mean, "std": tuple(std) if std else self.std}
        for name, values in chosen.items():
            if values is None:
                raise UsageError(f"{self.name}: does not say how images are normalised; give --mean and --std")
            if len(values) != self.input_shape[0]:
                place = f"{self.name}: {name}" if values is getattr(self, name) else f"--{name}"
                rule = f"must have {self.input_shape[0]} values, one for each channel"
                raise UsageError(f"{place}: {rule}, found {len(values)}")
        return replace(self, mean=chosen["mean"], std=chosen["std"])


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Whether `value` is a number that is neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
