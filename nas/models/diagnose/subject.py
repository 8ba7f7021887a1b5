"""What a diagnosis works on: a trained model, and the images that all models of a run are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nas.errors import StudyError
from search_space import Architecture
from trainers.data.dataset import Split
from trainers.data.stratified import stratified_rows
from trainers.data.types import Part

BATCH_IMAGES = 128
"""Images of a pass."""


@dataclass(frozen=True)
class ImageSample:
    """Labelled images.

    Args:
        pixels: float32 `(N, C, H, W)` of 0..1, on the device of the models.
        labels: int64 `(N,)`, on the same device.
        class_names: a label is an index into it.
        description: where they are from, for the page.
        part: of the data that they are from; None: of none.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    description: str = ""
    part: Part | None = None

    @classmethod
    def of_split(
        cls,
        split: Split,
        class_names: Sequence[str],
        limit: int,
        description: str = "",
        part: Part | None = None,
    ) -> ImageSample:
        """At most `limit` images of `split`, each class in proportion, in random order."""
        rows = stratified_rows(split.labels, limit)
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
        images, labels = split.pick(rows.to(split.images.device))
        return cls(images.float() / 255, labels, tuple(class_names), description, part)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.pixels.shape[2]), int(self.pixels.shape[3])

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def first(self, count: int) -> ImageSample:
        """The first `count` images; they are in random order."""
        return replace(self, pixels=self.pixels[:count], labels=self.labels[:count])

    def to(self, device: str) -> ImageSample:
        """The same images on `device`."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def batches(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Number, pixels and labels of each batch of at most `BATCH_IMAGES` images."""
        pairs = zip(self.pixels.split(BATCH_IMAGES), self.labels.split(BATCH_IMAGES), strict=True)
        for number, (pixels, labels) in enumerate(pairs):
            yield number, pixels, labels


@dataclass(frozen=True, eq=False)
class DiagnosedModel:
    """A trained model.

    Args:
        name: in tables and figures.
        module: `(B, C, H, W) -> (B, classes)`, in evaluation mode, on the device of the images; diagnoses leave it as it is.
        mean, std: of each channel, which the pixels of 0..1 are normalised with.
        architecture: its description; None if it is none of ours.
        outputs: for each class of the images, the index of its output; empty: the same order.
    """

    name: str
    module: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    architecture: Architecture | None = None
    outputs: tuple[int, ...] = field(default=())

    @property
    def params(self) -> int | None:
        """The number of parameters; None for an ONNX file, which holds other constants beside them."""
        return sum(parameter.numel() for parameter in self.module.parameters()) or None

    def normalised(self, pixels: Tensor) -> Tensor:
        """The input of the module for `pixels` of 0..1, `(B, C, H, W) -> (B, C, H, W)`."""
        mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (self.mean, self.std))
        return (pixels - mean) / std

    def ordered(self, logits: Tensor) -> Tensor:
        """The outputs in the order of the classes of the images, `(B, outputs) -> (B, classes)`."""
        return logits[:, list(self.outputs)] if self.outputs else logits

    def logits(self, pixels: Tensor) -> Tensor:
        """The outputs for `pixels` of 0..1, with gradients, `(B, C, H, W) -> (B, classes)`."""
        return self.ordered(self.module(self.normalised(pixels))).to(pixels.device)  # ONNX Runtime computes on the CPU

    @torch.inference_mode()
    def predict(self, pixels: Tensor) -> Tensor:
        """The predicted classes of any number of images, int64 `(N,)`."""
        return torch.cat([self.logits(batch).argmax(1) for batch in pixels.split(BATCH_IMAGES)])

    @torch.inference_mode()
    def check_outputs(self, pixels: Tensor) -> None:
        """Check that the outputs for some images are finite: those of NaN would count as a class.

        Raises:
            StudyError: they are not.
        """
        if not bool(self.logits(pixels[:BATCH_IMAGES]).isfinite().all()):
            raise StudyError(f"{self.name}: its outputs are not finite numbers")

    def correct(self, pixels: Tensor, labels: Tensor) -> int:
        """The number of images that are classified correctly."""
        return int((self.predict(pixels) == labels).sum())
