"""The image files of a folder with a subfolder for each class: `ROOT/CLASS/...` or `ROOT/{train,val,test}/CLASS/...`.

The second layout is read where `ROOT/train` holds folders and no images of its own. `val` may also be called `valid` or
`validation`; a missing part is drawn from `train`. Images may be in subfolders of the folder of their class. Images beside
the folders of classes have no class and are ignored, as are names that begin with a dot or two underscores (`.DS_Store`,
`__MACOSX`) and files of other types. Symbolic links are followed; within a class, a folder that several links lead to is
read once, so circular links end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.data.limit import keep_in_proportion
from trainers.data.types import Part
from trainers.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff")
PART_NAMES: Mapping[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MIN_CLASSES_TO_COUNT = 100
"""From this number of classes on, too few images are an error before any is decoded; below, decoding takes no time."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file that is not decoded yet: its path, its class, and its size and time, which tell if it changed.

    There may be millions: a string takes a fraction of the memory of a `Path`.
    """

    path: str
    label: int
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Args:
        class_names: the name of each class; a label is an index into it.
        parts: the images of its parts, class by class, each in the order of their paths.
        skipped: one line for each file that was left out because it cannot be an image.
    """

    class_names: tuple[str, ...]
    parts: Mapping[Part, tuple[ImageFile, ...]]
    skipped: tuple[str, ...] = ()


def scan(root: Path, *, skip: bool = False) -> Listing:
    """List the images under `root` without decoding any.

    Args:
        root: the folder.
        skip: leave out empty image files and those that cannot be reached.

    Raises:
        DataError: the folder does not exist, or it holds no images, only one class, a class without images, a class in
            one part that is not in another, two folders for one part, folders that cannot be classes, a folder that
            cannot be read, or (unless `skip`) an image file that cannot be read.
    """
    try:
        return _scan(root, skip)
    except OSError as error:
        raise DataError(str(error.filename or root), f"cannot be read ({error.strerror})") from error


def _scan(root: Path, skip: bool) -> Listing:
    if not root.exists():
        raise DataError(str(root), "no such folder")
    if not root.is_dir():
        raise DataError(str(root), "is not a folder; must be the folder that holds a folder for each class")
    folders = _find_parts(root)
    class_names = tuple(sorted(entry.name for entry in _folders(folders["train"])))
    if not class_names:
        raise DataError(
            str(folders["train"]), f"holds no folder of images; must hold one for each class ({_image_types()})"
        )
    skipped: list[str] | None = [] if skip else None
    parts = {part: _scan_part(folder, class_names, skipped) for part, folder in folders.items()}
    if len(class_names) == 1:
        raise DataError(str(folders["train"]), "must hold at least two classes, each in a folder", class_names[0])
    listing = Listing(class_names, parts, tuple(skipped or ()))
    _check_classes(folders["train"], listing)
    return listing


def _check_classes(folder: Path, listing: Listing) -> None:
    """Check that the folders look like classes: their names are text, and there are far fewer than images."""
    for name in listing.class_names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(str(folder / name), "has a name that is not UTF-8; must be the name of a class")
    classes, images, minimum = len(listing.class_names), len(listing.parts["train"]), _train_minimum(listing)
    if classes >= MIN_CLASSES_TO_COUNT and images < minimum * classes:
        rule = f"must hold a folder for each class, with {minimum} images or more, of which each split gets one"
        raise DataError(str(folder), f"{rule}; found {classes} folders with {images} images in all")


def _train_minimum(listing: Listing) -> int:
    """Images that a class needs in the train part: one for each split that is drawn from it."""
    return 1 + len({"val", "test"} - set(listing.parts))


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
                images.append(_image_file(entry, label))
            except DataError as error:
                if skipped is None:
                    raise
                skipped.append(str(error))
        if len(images) == before:
            raise DataError(str(folder / name), f"holds no images ({_image_types()})")
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
            if _is_folder(entry):
                subfolders.append(Path(entry.path))
            elif _is_image(entry.name):
                yield entry
        queue += reversed(subfolders)


def _image_file(entry: os.DirEntry[str], label: int) -> ImageFile:
    """The image file that `entry` names.

    Raises:
        DataError: it is a broken or circular link, is no regular file, or is empty.
    """
    try:
        status = entry.stat()
        regular = entry.is_file()
    except OSError as error:
        raise DataError(entry.path, f"cannot be read ({error.strerror})") from error
    if not regular:
        raise DataError(entry.path, "has the name of an image and is not a file")
    if status.st_size == 0:
        raise DataError(entry.path, "is an image file of 0 bytes")
    return ImageFile(entry.path, label, status.st_size, status.st_mtime_ns)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether `entry` is a folder or a link to one; a circular link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in os.scandir(folder) if not _is_hidden(entry.name) and _is_folder(entry)]


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not _is_hidden(name)


def _image_types() -> str:
    return "types: " + ", ".join(suffix[1:] for suffix in SUFFIXES)


def thin_listing(listing: Listing, limit: int | None, seed: int) -> Listing:
    """`listing` with `limit` images in all, each class of each part in proportion.

    They are chosen by their paths, not by their content as in `trainers.data.split`, so that the others need not be decoded.
    """
    groups: dict[tuple[Part, int], list[ImageFile]] = {}
    for part, members in listing.parts.items():
        for image in members:
            groups.setdefault((part, image.label), []).append(image)
    if limit is None or limit >= sum(map(len, groups.values())):
        return listing
    ranked = [
        (part, sorted(images, key=lambda image: _random_key(image, seed))) for (part, _), images in groups.items()
    ]
    kept = keep_in_proportion(ranked, limit, _train_minimum(listing))
    return Listing(listing.class_names, {part: tuple(kept.get(part, ())) for part in listing.parts}, listing.skipped)


def _random_key(image: ImageFile, seed: int) -> bytes:
    """32 bytes by which images are put in a random but fixed order."""
    path = Path(image.path)
    return hashlib.sha256(f"{seed} {path.parent.name}/{path.name}".encode("utf-8", "surrogateescape")).digest()
