"""All data sets that timm's `create_dataset` reads, by timm's own names (https://huggingface.co/docs/timm).

    timm                   a folder, or a `.tar`, of images, as timm's own reader takes them
    torch/NAME             torchvision's: cifar10, cifar100, mnist, kmnist, qmnist, fashion_mnist, imagenet, inaturalist,
                           places365, image_folder
    hfds/NAME, hfids/NAME  of the Hugging Face hub, whole or as a stream (needs `datasets`); NAME may be a folder
    tfds/NAME              of TensorFlow Datasets (needs `tensorflow-datasets` and `tensorflow`)
    wds/NAME               WebDataset shards in the folder `path` (needs `webdataset`); NAME appears in tables

`splits` names the splits as timm does, `input_key` and `target_key` the columns; nothing is downloaded unless `download` is
set. timm, which takes seconds to import, is imported only to decode. Where timm gives encoded images they are decoded as
everywhere here (orientation, 16 bits, grey); those of torchvision's arrays and of streams come decoded.

torchvision reads CIFAR from pickled files, whose MD5 it checks first; the sources `cifar10` and `cifar100` need no pickle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from trainers.data.grouping import Grouping, check_groups
from trainers.data.part_names import parts_of
from trainers.data.sources.base import Source, check_parts, register
from trainers.data.timm_images import FOLDERS, read_splits
from trainers.data.types import (
    PARTS,
    DecodedData,
    LabeledImages,
    LocatedData,
    Part,
    ReadContext,
    SourceOption,
    SourceRequest,
)
from trainers.errors import DataError

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "timm": (),
    "torch": ("torchvision",),
    "hfds": ("datasets",),
    "hfids": ("datasets",),
    "tfds": ("tensorflow_datasets", "tensorflow"),
    "wds": ("webdataset",),
}
"""For each kind of name, the packages that timm needs to read it."""
EVALUATION = ("val", "valid", "validation", "eval", "evaluation")
"""Names of folders that timm reads as the split `validation`."""


@dataclass(frozen=True)
class Timm(Source):
    """Data sets that timm reads under names of one kind, such as `hfds/NAME`."""

    def locate(self, request: SourceRequest) -> LocatedData:
        kind, _, _ = request.source.partition("/")
        for package in PACKAGES[kind]:
            if find_spec(package) is None:
                install = package.replace("_", "-")
                rule = f"is read with the package {install}, which is not installed; `pip install {install}`"
                raise DataError("source", rule, request.source)
        path = request.path
        if path is not None and not path.exists() and (request.source in FOLDERS or not request.download):
            hint = "no folder is downloaded" if request.download else "`download: true` fetches what timm can fetch"
            raise DataError(str(path), f"no such folder; {hint}")
        for split in (request.splits or {}).values():
            if "pipe:" in split:
                raise DataError("splits", "must name shards that are files, not commands", split)
        if request.group_by is not None:
            Grouping.read(request.group_by, _root(request) or "")  # a table that cannot be read is an error at once
        return _locate(request, _splits_of(request))

    def locate_as_before(self, request: SourceRequest) -> LocatedData:
        located = self.locate(request)
        return replace(located, read=partial(_read, request, _splits_as_before(request)))


def _locate(request: SourceRequest, splits: Mapping[Part, str]) -> LocatedData:
    kind, _, name = request.source.partition("/")
    local = Path(name) if kind in ("hfds", "hfids") else request.path
    return LocatedData("\n".join(_describe_files(local)), partial(_read, request, splits))


def _describe_files(place: Path | None) -> Iterator[str]:
    """One line for each file in the folder `place`, or for `place` if it is a file; none if it does not exist."""
    if place is not None and place.is_file():
        yield f"{place.name} {place.stat().st_size} {place.stat().st_mtime_ns}"
    elif place is not None and place.is_dir():
        for folder, below, names in os.walk(place):
            below.sort()
            for name in sorted(names):
                status = Path(folder, name).lstat()
                yield f"{os.path.relpath(folder, place)!r} {name!r} {status.st_size} {status.st_mtime_ns}"


def _read(request: SourceRequest, splits: Mapping[Part, str], context: ReadContext) -> DecodedData:
    root = _root(request)
    check_names = partial(check_groups, request.group_by, root=root or "", skip=request.on_error == "skip")
    class_names, decoded, passed_over = read_splits(request, splits, context, check_names)
    parts = check_parts(request.source, splits, decoded.parts, decoded.skipped)
    name = request.path.name if request.source == "timm" and request.path is not None else request.source
    classes = class_names or _label_names(parts)
    return DecodedData(name, classes, parts, decoded.skipped, passed_over, decoded.summaries, root)


def _root(request: SourceRequest) -> str | None:
    """The folder that names of images begin with; empty for the names in archives; None where images have no names."""
    if request.path is None or request.source not in FOLDERS:
        return None
    return str(request.path) if request.path.is_dir() else ""


def _splits_of(request: SourceRequest) -> Mapping[Part, str]:
    """Timm's name of each split: as configured, or the splits that are known to exist.

    Of folders it is the name of the folder, which timm looks for before it takes the name of a split: timm knows some names
    of parts in lower case, and reads all the images of the others as one.

    Raises:
        DataError: two folders are called like the same part.
    """
    before = _splits_as_before(request)
    if request.splits is not None or request.source not in FOLDERS or request.path is None or request.path.is_file():
        return before
    splits: dict[Part, str] = {}
    part_of = parts_of(sorted(folder.name for folder in request.path.iterdir() if folder.is_dir()))
    for name, part in part_of.items():
        if part in splits:
            raise DataError(str(request.path), f"has two folders for the {part} split", [splits[part], name])
        splits[part] = name
    return {part: splits[part] for part in PARTS if part in splits} if "train" in splits else before


def _splits_as_before(request: SourceRequest) -> Mapping[Part, str]:
    """As versions 0.1 and 0.2 named them."""
    if request.splits is not None:
        return request.splits
    splits: dict[Part, str] = {"train": "train"}
    if request.source in FOLDERS and request.path is not None:
        if any((request.path / name).is_dir() for name in EVALUATION):
            splits["val"] = "validation"
        if (request.path / "test").is_dir():
            splits["test"] = "test"
    elif request.source.startswith("torch/"):
        splits["test"] = "validation"  # the published test split, and the only other one
    return splits


def _label_names(parts: Mapping[Part, LabeledImages]) -> tuple[str, ...]:
    """Class names for data without: the labels as text."""
    return tuple(map(str, range(1 + max(int(np.max(images.labels)) for images in parts.values()))))


_ALL_OPTIONS: frozenset[SourceOption] = frozenset({"splits", "download", "input_key", "target_key"})
_SPLITS: frozenset[SourceOption] = frozenset({"splits", "download"})

register(Timm(name="timm", path="required", augment="flip", options=frozenset({"splits", "group_by"})))
for _folder in ("torch/image_folder", "torch/folder"):
    register(Timm(name=_folder, path="required", augment="flip", options=_SPLITS | {"group_by"}))
register(Timm(name="torch/", path="required", augment="flip", options=_SPLITS))
for _characters in ("mnist", "kmnist", "qmnist"):  # neither mirrored nor cut
    register(Timm(name=f"torch/{_characters}", path="required", augment="shift", options=_SPLITS))
for _hub_or_cache in ("hfds/", "hfids/", "tfds/"):
    register(Timm(name=_hub_or_cache, path="optional", augment="flip", options=_ALL_OPTIONS))
register(Timm(name="wds/", path="required", augment="flip", options=_ALL_OPTIONS - {"download"}))
