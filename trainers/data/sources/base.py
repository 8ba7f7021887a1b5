"""What a data source is: it tells cheaply which data there are, and decodes them when asked.

`trainers.data.prepared.prepare` calls, in this order,

1. `found = source.find(config)`: looks where the data are; no image is decoded. `found.identity` is a text that changes
   when the data do; it names the cached file.
2. `found.read(reading)`: all images, decoded, in the parts that the source itself has. Only when no cached file has
   that name.

Images are uint8 `(N, C, H, W)`, labels int64 `(N,)` that index the class names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from trainers.errors import DataError, unknown_source

if TYPE_CHECKING:
    from trainers.config import DataConfig, Policy

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""

Part = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Reading:
    """Where and before whom images are decoded.

    Args:
        progress: told how many images are decoded, and of how many.
        scratch: a folder with room for all of them; none: the system's folder for temporary files.
    """

    progress: Progress | None = None
    scratch: Path | None = None


@dataclass(frozen=True)
class Pictures:
    """Decoded images uint8 `(N, C, H, W)` and their labels int64 `(N,)`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Decoded:
    """All that a source holds.

    Args:
        name: what tables call these data.
        class_names: the name of each class; a label is an index into it.
        parts: "train" always, "val" and "test" where the source has its own.
        skipped: a line on each image that was left out because it is broken: its name and what is wrong with it.
    """

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[Part, Pictures]
    skipped: tuple[str, ...] = ()


def complete(
    place: str,
    wanted: Iterable[Part],
    parts: Mapping[Part, tuple[NDArray[np.uint8], NDArray[np.int64]]],
    skipped: Sequence[str],
) -> dict[Part, Pictures]:
    """The images and labels of `parts`, which must be the `wanted` ones: one that is not there would be drawn from another.

    Raises:
        DataError: one of them has no image; names the `place` and what was `skipped`.
    """
    for part in wanted:
        if part not in parts:
            left_out = f"; {len(skipped)} are broken and left out, the first: {skipped[0]}" if skipped else ""
            raise DataError(place, f"holds no {part} image that can be decoded{left_out}")
    return {part: Pictures(images, labels) for part, (images, labels) in parts.items()}


@dataclass(frozen=True)
class Found:
    """Data that are there and not yet decoded.

    Args:
        identity: changes whenever the data do.
        read: decodes all images, or a stratified `limit` of them where leaving some out saves work; raises `DataError`
            if an image or a file is broken.
    """

    identity: str
    read: Callable[[Reading], Decoded]


@dataclass(frozen=True)
class Source(ABC):
    """A place that images come from.

    Args:
        name: its name in a configuration; one that ends in a slash is that of all names that begin so.
        path: whether the configuration has to name a folder, may name one, or must not.
        augment: the augmentation policy that suits its images.
        keys: those keys of the configuration that only some sources know and that this one does.
    """

    name: str
    path: Literal["required", "optional", "none"]
    augment: Policy
    keys: frozenset[str] = field(default=frozenset(), kw_only=True)

    @abstractmethod
    def find(self, config: DataConfig) -> Found:
        """Look for the data that `config` names, without decoding any.

        Raises:
            DataError: they are not there, or not laid out as this source reads them.
        """


SOURCES: dict[str, Source] = {}


def register(source: Source) -> Source:
    """Make `source` known by its name."""
    if source.name in SOURCES:
        raise ValueError(f"data source {source.name!r} is registered already")
    SOURCES[source.name] = source
    return source


def get(name: str) -> Source:
    """The source called `name`, or the one of all names that begin as it does: `torch/` of `torch/cifar10`.

    Raises:
        DataError: there is none; the error lists the known ones.
    """
    family, slash, rest = name.partition("/")
    if name in SOURCES and not name.endswith("/"):
        return SOURCES[name]
    if rest and family + slash in SOURCES:
        return SOURCES[family + slash]
    raise unknown_source(name, (f"{key}NAME" if key.endswith("/") else key for key in SOURCES))
