"""A folder of images, a subfolder for each class: `ROOT/CLASS/...` or `ROOT/{train,val,test}/CLASS/...`.

The second layout is taken where `ROOT/train` holds folders and no images of its own. `val` may also be called `valid`
or `validation`; a part that is not there is drawn from `train`. Images may lie deeper within the folder of their class.
Names that begin with a dot or two underscores (`.DS_Store`, `__MACOSX`) are passed over, and so are files of other
kinds. Symbolic links are followed, but not in circles.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainers.decode import read_all
from trainers.errors import DataError
from trainers.sources.base import Decoded, Found, Part, Pictures, Progress, Source, register
from trainers.split import allot

if TYPE_CHECKING:
    from trainers.config import DataConfig

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff")
PART_NAMES: Mapping[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class ImageFile:
    """An image that was found but not decoded: where it lies, its class, and what tells if it changed."""

    path: Path
    label: int
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """What lies in a folder: the names of its classes and the images of its parts, in the order of their paths."""

    class_names: tuple[str, ...]
    parts: Mapping[Part, tuple[ImageFile, ...]]


def scan(root: Path) -> Listing:
    """List the images under `root` without opening any.

    Raises:
        DataError: there is no such folder, or it holds no images, one class only, a class without images, a class in
            one part that is not in another, two parts of one meaning, or an image of no bytes.
    """
    try:
        return _scan(root)
    except OSError as error:
        raise DataError(str(error.filename or root), f"cannot be read ({error.strerror})") from error


def _scan(root: Path) -> Listing:
    if not root.exists():
        raise DataError(str(root), "no such folder")
    if not root.is_dir():
        raise DataError(str(root), "is not a folder; the path of images is the folder that holds their classes")
    folders = _parts(root)
    class_names = tuple(sorted(entry.name for entry in _folders(folders["train"])))
    if not class_names:
        raise DataError(str(folders["train"]), f"holds no folder of images; one for each class is wanted ({_kinds()})")
    parts = {part: _scan_part(folder, class_names) for part, folder in folders.items()}
    if len(class_names) == 1:
        raise DataError(str(folders["train"]), "needs two classes at least, each in a folder", class_names[0])
    return Listing(class_names, parts)


def _parts(root: Path) -> dict[Part, Path]:
    """The folder of each part; `root` itself is "train" where it has no parts."""
    train = root / "train"
    if not train.is_dir() or not _folders(train) or any(_is_image(entry.name) for entry in train.iterdir()):
        return {"train": root}
    found: dict[Part, Path] = {}
    for name, part in PART_NAMES.items():
        folder = root / name
        if not folder.is_dir():
            continue
        if part in found:
            raise DataError(str(root), f"has two folders for the {part} split", [found[part].name, name])
        found[part] = folder
    return found


def _scan_part(folder: Path, class_names: Sequence[str]) -> tuple[ImageFile, ...]:
    """The images of one part, which has to hold every class and no other."""
    names = {entry.name for entry in _folders(folder)}
    for name in sorted(names ^ set(class_names)):
        raise DataError(str(folder / name), "is in one of the train, val and test folders and not in another")
    images: list[ImageFile] = []
    for label, name in enumerate(class_names):
        of_class = list(_walk(folder / name, label, ()))
        if not of_class:
            raise DataError(str(folder / name), f"holds no images ({_kinds()})")
        images += of_class
    return tuple(images)


def _walk(folder: Path, label: int, above: tuple[tuple[int, int], ...]) -> Iterator[ImageFile]:
    """The images in `folder` and below; `above` identifies the folders on the way down: no circle is walked."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if _is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), label, (*above, here))
        elif _is_image(entry.name):
            found = entry.stat()  # a link that leads nowhere raises here
            if found.st_size == 0:
                raise DataError(entry.path, "is an image file of 0 bytes")
            yield ImageFile(Path(entry.path), label, found.st_size, found.st_mtime_ns)


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in os.scandir(folder) if entry.is_dir() and not _is_hidden(entry.name)]


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not _is_hidden(name)


def _kinds() -> str:
    return "kinds: " + ", ".join(suffix[1:] for suffix in SUFFIXES)


def thin(listing: Listing, limit: int | None, seed: int) -> Listing:
    """`listing` with `limit` images in all, each class of each part in proportion.

    They are chosen by their paths, not by their content as elsewhere, so that the others need not be decoded.
    """
    groups = [
        (part, [image for image in images if image.label == label])
        for part, images in listing.parts.items()
        for label in range(len(listing.class_names))
    ]
    total = sum(len(images) for _, images in groups)
    if limit is None or limit >= total:
        return listing
    in_train = 1 + len({"val", "test"} - set(listing.parts))
    at_least = [min(len(images), in_train if part == "train" else 1) for part, images in groups]
    kept: dict[Part, list[ImageFile]] = {part: [] for part in listing.parts}
    for (part, images), count in zip(groups, allot([len(i) for _, i in groups], limit, at_least), strict=True):
        kept[part] += sorted(images, key=lambda image: _draw(image, seed))[:count]
    return Listing(listing.class_names, {part: tuple(images) for part, images in kept.items()})


def _draw(image: ImageFile, seed: int) -> bytes:
    """A number of 32 bytes that puts images in an order without meaning."""
    return hashlib.sha256(
        f"{seed} {image.path.parent.name}/{image.path.name}".encode("utf-8", "surrogateescape")
    ).digest()


@dataclass(frozen=True)
class Folder(Source):
    """Images in a folder, a subfolder for each class."""

    def find(self, config: DataConfig) -> Found:
        if config.path is None:
            raise DataError("path", "has to be given: it is the folder that holds the images")
        root = config.path.resolve()
        listing = scan(root)
        lines = [
            f"{part} {os.path.relpath(image.path, root)!r} {image.bytes} {image.mtime_ns}"
            for part, images in listing.parts.items()
            for image in images
        ]
        chosen = thin(listing, config.limit, config.seed)
        return Found("\n".join([root.name, *lines]), partial(_read, root.name, chosen, config.image_size))


def _read(name: str, listing: Listing, image_size: int | None, progress: Progress | None) -> Decoded:
    every = [image for images in listing.parts.values() for image in images]
    pixels = read_all([image.path for image in every], image_size, progress)
    labels = np.array([image.label for image in every], np.int64)
    parts: dict[Part, Pictures] = {}
    start = 0
    for part, images in listing.parts.items():
        here = slice(start, start + len(images))
        parts[part] = Pictures(pixels[here], labels[here])
        start = here.stop
    return Decoded(name, listing.class_names, parts)


register(Folder(name="folder", needs_path=True, augment="standard"))
