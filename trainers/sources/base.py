"""What a data source is: it tells cheaply which data there are, and decodes them when asked.

`trainers.data.prepare` calls, in this order,

1. `found = source.find(config)`: looks where the data are; no image is decoded. `found.identity` is a text that changes
   when the data do; it names the cached file.
2. `found.read(progress)`: all images, decoded, in the parts that the source itself has. Only when no cached file has
   that name.

Images are uint8 `(N, C, H, W)`, labels int64 `(N,)` that index the class names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from trainers.errors import unknown_source

if TYPE_CHECKING:
    from trainers.config import DataConfig

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""

Part = Literal["train", "val", "test"]


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
    """

    name: str
    class_names: tuple[str, ...]
    parts: Mapping[Part, Pictures]


@dataclass(frozen=True)
class Found:
    """Data that are there and not yet decoded.

    Args:
        identity: changes whenever the data do.
        read: decodes all images, or a stratified `limit` of them where leaving some out saves work; raises `DataError`
            if an image or a file is broken.
    """

    identity: str
    read: Callable[[Progress | None], Decoded]


@dataclass(frozen=True)
class Source(ABC):
    """A place that images come from.

    Args:
        name: its name in a configuration.
        needs_path: True if it reads from a folder that the configuration has to name.
        augment: the augmentation policy that suits its images.
    """

    name: str
    needs_path: bool
    augment: Literal["none", "shift", "standard"]

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
    """The source called `name`.

    Raises:
        DataError: there is none; the error lists the known ones.
    """
    if name not in SOURCES:
        raise unknown_source(name, SOURCES)
    return SOURCES[name]
