"""The images that a model is validated on, as it takes them, with labels that are indices of its outputs.

Images are read as a search reads them: upright, resized so that the shorter side fits and cropped about the centre. A model of
timm's that is shown a part of the image (`crop_pct`) gets the centre of a larger one, as in timm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from nas.errors import UsageError
from nas.models.images import class_outputs, parts_of, study_dataset
from nas.models.loaded_model import LoadedModel
from nas.study.content import StudySnapshot
from nas.study.data_argument import data_configuration
from nas.study.database.storage import study_exists
from nas.study.images import check_room, data_errors
from trainers.data.pixels import resize_all
from trainers.data.prepared import locate
from trainers.data.resizing import Resizing
from trainers.data.types import PARTS, Part, Progress, ReadContext

DEFAULT_PARTS: tuple[Part, ...] = ("test", "val", "train")
"""Of the parts that the data have, the first of these is taken."""

_Array: TypeAlias = NDArray[Any]
_Parts: TypeAlias = Mapping[Part, tuple[_Array, _Array]]


@dataclass(frozen=True)
class ValidationImages:
    """Images with labels.

    Args:
        name: of the data.
        part: which of them: "all", or "test split".
        pixels: uint8 `(N, C, H, H)`, which may be mapped from a file.
        shape: (C, H, W) of the images that the model takes.
        decoded_size: pixels a side of an image of which the model is shown the centre.
        labels: int64 `(N,)`, indices of the outputs of the model.
        class_names: the name of each output.
        resizing: how images of another size are resized.
        skipped: a line for each broken image that is left out.
    """

    name: str
    part: str
    pixels: _Array
    shape: tuple[int, int, int]
    decoded_size: int
    labels: torch.Tensor
    class_names: tuple[str, ...]
    resizing: Resizing
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, rows: slice) -> torch.Tensor:
        """The images of `rows`, uint8 `(B, C, H, W)`, as the model takes them but for the normalisation."""
        pixels, (channels, size, _) = self.pixels[rows], self.shape
        if pixels.shape[1] != channels:
            pixels = pixels.repeat(channels, axis=1) if pixels.shape[1] == 1 else _grey(pixels)
        pixels = resize_all(pixels, self.decoded_size, self.resizing)
        start = round((self.decoded_size - size) / 2)  # as torchvision's `CenterCrop` rounds
        return torch.from_numpy(pixels[:, :, start : start + size, start : start + size].copy())


def read_images(
    data: str,
    overrides: Sequence[str],
    model: LoadedModel,
    part: Part | None,
    scratch: Path,
    progress: Progress | None = None,
) -> ValidationImages:
    """Read the images that `data` names for `model`.

    Args:
        data: a folder of images, the folder of a study, a study file, or the name of a source.
        overrides: `data.key=value` words.
        model: the model.
        part: the part of the data; None: the first of `DEFAULT_PARTS` that they have.
        scratch: a folder for decoded images, which must outlive them.
        progress: called with the number of images decoded and the total number.

    Raises:
        UsageError: `data` names nothing, has no such part, or has other classes than the model.
        ConfigError: the data are missing, broken or break a rule.
    """
    _, height, width = model.input_shape
    if height != width:
        raise UsageError(f"{model.name}: images must be square, found {height}x{width}")
    if study_exists(Path(data)):
        if overrides:
            raise UsageError(f"{overrides[0]}: the data of a study that was started cannot be changed")
        name, classes, parts, skipped = _of_study(Path(data))
    else:
        name, classes, parts, skipped = _read(data, overrides, model, scratch, progress)
    chosen = next((p for p in DEFAULT_PARTS if p in parts), None) if part is None else part
    if chosen is None or chosen not in parts:
        raise UsageError(f"--split: {data} has the parts {', '.join(p for p in PARTS if p in parts)}, found {chosen}")
    pixels, labels = parts[chosen]
    outputs = np.array(class_outputs(data, classes, model))
    return ValidationImages(
        name=name,
        part="all" if set(parts) == {"train"} else f"{chosen} split",
        pixels=pixels,
        shape=model.input_shape,
        decoded_size=_decoded_size(model),
        resizing=model.resizing,
        labels=torch.from_numpy(outputs[labels]),
        class_names=model.class_names or classes,
        skipped=skipped,
    )


def _read(
    data: str, overrides: Sequence[str], model: LoadedModel, scratch: Path, progress: Progress | None
) -> tuple[str, tuple[str, ...], _Parts, tuple[str, ...]]:
    """Name, classes, images and labels of each part, and what was left out."""
    config = data_configuration(data, (*overrides, f"data.image_size={_decoded_size(model)}"))
    with data_errors(config):
        located = locate(config.data)
        check_room(config, located, scratch)
        decoded = located.read(ReadContext(progress, scratch, resizing=model.resizing))
    parts = {part: (images.images, images.labels) for part, images in decoded.parts.items()}
    return decoded.name, decoded.class_names, parts, decoded.skipped


def _of_study(folder: Path) -> tuple[str, tuple[str, ...], _Parts, tuple[str, ...]]:
    """The same of the decoded images of a study."""
    data = study_dataset(StudySnapshot.of(folder))
    parts = {part: (split.images.numpy(), split.labels.numpy()) for part, split in parts_of(data).items()}
    return data.name, data.class_names, parts, ()


def _decoded_size(model: LoadedModel) -> int:
    """Pixels a side of an image of which the model is shown the centre, as timm's transforms compute it."""
    return math.floor(model.input_shape[1] / model.crop_share)


def _grey(pixels: _Array) -> _Array:
    """Colour `(N, 3, H, W)` as grey `(N, 1, H, W)`, as Pillow converts it."""
    converted = [np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")) for image in pixels]
    return np.stack(converted)[:, None]
