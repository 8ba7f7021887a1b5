"""Everything that timm's `create_dataset` reads, by timm's own names (https://huggingface.co/docs/timm).

    timm                   a folder, or a `.tar`, of images, as timm's own reader takes them
    torch/NAME             torchvision's: cifar10, cifar100, mnist, kmnist, qmnist, fashion_mnist, imagenet, inaturalist,
                           places365, image_folder
    hfds/NAME, hfids/NAME  of the Hugging Face hub, whole or as a stream (needs `datasets`); NAME may be a folder
    tfds/NAME              of TensorFlow Datasets (needs `tensorflow-datasets` and `tensorflow`)
    wds/NAME               WebDataset shards in the folder `path` (needs `webdataset`); NAME is for tables

`splits` names the splits as timm does, `input_key` and `target_key` the columns; nothing is fetched unless `download` is
set. timm, which takes seconds to import, is imported only to decode. Where timm gives encoded images they are decoded as
everywhere here (orientation, 16 bits, grey); those of torchvision's arrays and of streams come decoded.

torchvision reads its CIFAR from pickled files, whose MD5 it checks first; the sources `cifar10` and `cifar100` need none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainers.data.sources.base import Decoded, Found, Part, Pictures, Reading, Source, complete, register
from trainers.data.timm_images import read_splits
from trainers.errors import DataError

if TYPE_CHECKING:
    from trainers.config import DataConfig

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "timm": (),
    "torch": ("torchvision",),
    "hfds": ("datasets",),
    "hfids": ("datasets",),
    "tfds": ("tensorflow_datasets", "tensorflow"),
    "wds": ("webdataset",),
}
"""For each kind of name, the packages that timm reads it with."""
EVALUATION = ("val", "valid", "validation", "eval", "evaluation")
"""Folders that timm takes for the split `validation`."""
FOLDERS = ("timm", "torch/image_folder", "torch/folder")


@dataclass(frozen=True)
class Timm(Source):
    """What timm reads under names of one kind."""

    def find(self, config: DataConfig) -> Found:
        kind, _, name = config.source.partition("/")
        for package in PACKAGES[kind]:
            if find_spec(package) is None:
                install = package.replace("_", "-")
                rule = f"is read with the package {install}, which is not installed; `pip install {install}`"
                raise DataError("source", rule, config.source)
        path = config.path
        if path is not None and not config.download and not path.exists():
            raise DataError(str(path), "no such folder; `download: true` fetches what timm can fetch")
        for split in (config.splits or {}).values():
            if "pipe:" in split:
                raise DataError("splits", "must name shards that are files, not commands", split)
        local = Path(name) if kind in ("hfds", "hfids") else path
        return Found("\n".join(_files(local)), partial(_read, config))


def _files(place: Path | None) -> Iterator[str]:
    """A line on each file in `place`, or on that file itself; nothing where it is not there."""
    if place is not None and place.is_file():
        yield f"{place.name} {place.stat().st_size} {place.stat().st_mtime_ns}"
    elif place is not None and place.is_dir():
        for folder, below, names in os.walk(place):
            below.sort()
            for name in sorted(names):
                status = Path(folder, name).lstat()
                yield f"{os.path.relpath(folder, place)!r} {name!r} {status.st_size} {status.st_mtime_ns}"


def _read(config: DataConfig, reading: Reading) -> Decoded:
    splits = _splits(config)
    class_names, arrays, skipped = read_splits(config, splits, reading)
    parts = complete(config.source, splits, arrays, skipped)
    name = config.path.name if config.source == "timm" and config.path is not None else config.source
    return Decoded(name, class_names or _numbers(parts), parts, skipped)


def _splits(config: DataConfig) -> Mapping[Part, str]:
    """Timm's name of each split: as configured, or those that are known to be there."""
    if config.splits is not None:
        return config.splits
    splits: dict[Part, str] = {"train": "train"}
    if config.source in FOLDERS and config.path is not None:
        if any((config.path / name).is_dir() for name in EVALUATION):
            splits["val"] = "validation"
        if (config.path / "test").is_dir():
            splits["test"] = "test"
    elif config.source.startswith("torch/"):
        splits["test"] = "validation"  # the published one, and the only other
    return splits


def _numbers(parts: Mapping[Part, Pictures]) -> tuple[str, ...]:
    """Class names where the data have none: the labels."""
    return tuple(map(str, range(1 + max(int(np.max(pictures.labels)) for pictures in parts.values()))))


_COLUMNS = frozenset({"splits", "download", "input_key", "target_key"})
_SPLITS = frozenset({"splits", "download"})

register(Timm(name="timm", path="required", augment="flip", keys=frozenset({"splits"})))
register(Timm(name="torch/", path="required", augment="flip", keys=_SPLITS))
for _characters in ("mnist", "kmnist", "qmnist"):  # neither mirrored nor cut
    register(Timm(name=f"torch/{_characters}", path="required", augment="shift", keys=_SPLITS))
for _hub_or_cache in ("hfds/", "hfids/", "tfds/"):
    register(Timm(name=_hub_or_cache, path="optional", augment="flip", keys=_COLUMNS))
register(Timm(name="wds/", path="required", augment="flip", keys=_COLUMNS - {"download"}))
