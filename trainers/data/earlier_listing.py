"""How versions 0.1 and 0.2 listed a folder of images: for the studies that they began, and for nothing else.

A study keeps the images, the classes and the order of classes that it started with. So its folder is listed by the rules of
its version when its images are decoded again: parts have one of five names, classes are in the order of the characters of
their names, other types of files are ignored, and so is what begins with a dot or two underscores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainers.data.folder_tree import is_folder
from trainers.data.listing import ImageFile, Listing, image_file
from trainers.data.types import Part
from trainers.disk import error_kind
from trainers.errors import DataError, DiskError, skippable

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff")
PART_NAMES: Mapping[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def scan_as_before(root: Path, *, skip: bool) -> Listing:
    """List the images under `root` without decoding any.

    Args:
        root: the folder.
        skip: leave out empty image files and those that cannot be reached.

    Raises:
        DataError: the folder does not exist, is not what it was, or (unless `skip`) an image file cannot be read.
    """
    if not root.is_dir():
        raise DataError(str(root), "no such folder")
    try:
        folders = _find_parts(root)
        class_names = tuple(sorted(entry.name for entry in _folders(folders["train"])))
        skipped: list[str] | None = [] if skip else None
        parts = {part: _scan_part(folder, class_names, skipped) for part, folder in folders.items()}
    except OSError as error:
        raise error_kind(error)(str(error.filename or root), f"cannot be read ({error.strerror})") from error
    if len(class_names) < 2:
        raise DataError(str(folders["train"]), "must hold at least two classes, each in a folder", list(class_names))
    return Listing(class_names, parts, tuple(skipped or ()))


def _find_parts(root: Path) -> dict[Part, Path]:
    """The folder of each part; `root` itself is "train" where it has no parts."""
    train = root / "train"
    if not train.is_dir() or not _folders(train) or any(_is_image(entry.name) for entry in train.iterdir()):
        return {"train": root}
    folders: dict[Part, Path] = {}
    for name, part in PART_NAMES.items():
        folder = root / name
        if not folder.is_dir():
            continue
        if part in folders:
            raise DataError(str(root), f"has two folders for the {part} split", [folders[part].name, name])
        folders[part] = folder
    return folders


def _scan_part(folder: Path, class_names: Sequence[str], skipped: list[str] | None) -> tuple[ImageFile, ...]:
    """The images of one part, which must hold every class and no other; broken files go to `skipped`."""
    names = {entry.name for entry in _folders(folder)}
    for name in sorted(names ^ set(class_names)):
        raise DataError(str(folder / name), "is in one of the train, val and test folders and not in another")
    images: list[ImageFile] = []
    for label, name in enumerate(class_names):
        before = len(images)
        for entry in _walk(folder / name):
            try:
                images.append(image_file(entry, label))
            except DataError as error:
                if skipped is None or isinstance(error, DiskError):
                    raise skippable(error) from error.__cause__
                skipped.append(str(error))
        if len(images) == before:
            raise DataError(str(folder / name), "holds no images")
    return tuple(images)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The image files in `folder` and below, each folder once."""
    queue = [folder]
    seen: set[tuple[int, int]] = set()
    while queue:
        current = queue.pop()
        status = current.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders: list[Path] = []
        for entry in sorted(os.scandir(current), key=lambda entry: entry.name):
            if _is_hidden(entry.name):
                continue
            if is_folder(entry):
                subfolders.append(Path(entry.path))
            elif _is_image(entry.name):
                yield entry
        queue += reversed(subfolders)


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in os.scandir(folder) if not _is_hidden(entry.name) and is_folder(entry)]


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not _is_hidden(name)
