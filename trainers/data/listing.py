"""What lies in a folder of images, a subfolder for each class: `ROOT/CLASS/...` or `ROOT/{train,val,test}/CLASS/...`.

The second layout is taken where `ROOT/train` holds folders and no images of its own. `val` may also be called `valid`
or `validation`; a part that is not there is drawn from `train`. Images may lie deeper within the folder of their class;
those beside the folders of classes are of no class and passed over. So are names that begin with a dot or two
underscores (`.DS_Store`, `__MACOSX`) and files of other kinds. Symbolic links are followed; within a class, a folder that
several of them lead to is read once, so no circle is walked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.data.split import keep_in_proportion
from trainers.data.types import Part
from trainers.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff")
PART_NAMES: Mapping[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MANY_CLASSES = 100
"""From so many classes on, too few images of each are an error before any is decoded; below, decoding takes no time."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that was found but not decoded: where it lies, its class, and what tells if it changed.

    There may be millions: a text for a path takes a fraction of the memory of a `Path`.
    """

    path: str
    label: int
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """What lies in a folder.

    Args:
        class_names: the names of its classes.
        parts: the images of its parts, class by class, each in the order of their paths.
        skipped: a line on each file that was left out, as it cannot be an image.
    """

    class_names: tuple[str, ...]
    parts: Mapping[Part, tuple[ImageFile, ...]]
    skipped: tuple[str, ...] = ()


def scan(root: Path, *, skip: bool = False) -> Listing:
    """List the images under `root` without opening any.

    Args:
        root: the folder.
        skip: leave out image files of no bytes, and those that cannot be reached.

    Raises:
        DataError: there is no such folder, or it holds no images, one class only, a class without images, a class in
            one part that is not in another, two parts of one meaning, folders that cannot be classes, a folder that
            cannot be read, or (unless `skip`) an image file that cannot be.
    """
    try:
        return _scan(root, skip)
    except OSError as error:
        raise DataError(str(error.filename or root), f"cannot be read ({error.strerror})") from error


def _scan(root: Path, skip: bool) -> Listing:
    if not root.exists():
        raise DataError(str(root), "no such folder")
    if not root.is_dir():
        raise DataError(str(root), "is not a folder; the path of images is the folder that holds their classes")
    folders = _parts(root)
    class_names = tuple(sorted(entry.name for entry in _folders(folders["train"])))
    if not class_names:
        raise DataError(str(folders["train"]), f"holds no folder of images; one for each class is wanted ({_kinds()})")
    skipped: list[str] | None = [] if skip else None
    parts = {part: _scan_part(folder, class_names, skipped) for part, folder in folders.items()}
    if len(class_names) == 1:
        raise DataError(str(folders["train"]), "needs two classes at least, each in a folder", class_names[0])
    listing = Listing(class_names, parts, tuple(skipped or ()))
    _check_classes(folders["train"], listing)
    return listing


def _check_classes(folder: Path, listing: Listing) -> None:
    """The folders must look like classes: have names that can be told, and not be as many as the images."""
    for name in listing.class_names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(str(folder / name), "has a name that is not UTF-8; it is to be the name of a class")
    classes, images, wanted = len(listing.class_names), len(listing.parts["train"]), _splits_drawn(listing)
    if classes >= MANY_CLASSES and images < wanted * classes:
        rule = f"must hold a folder for each class, with {wanted} images or more, of which each split gets one"
        raise DataError(str(folder), f"{rule}; found {classes} folders with {images} images in all")


def _splits_drawn(listing: Listing) -> int:
    """Splits that are drawn from the train part, that one among them."""
    return 1 + len({"val", "test"} - set(listing.parts))


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


def _scan_part(folder: Path, class_names: Sequence[str], skipped: list[str] | None) -> tuple[ImageFile, ...]:
    """The images of one part, which has to hold every class and no other; broken files go to `skipped`."""
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
            raise DataError(str(folder / name), f"holds no images ({_kinds()})")
    return tuple(images)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The image files in `folder` and below, each folder once."""
    waiting = [folder]
    seen: set[tuple[int, int]] = set()
    while waiting:
        here = waiting.pop()
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        below: list[Path] = []
        for entry in sorted(os.scandir(here), key=lambda entry: entry.name):
            if _is_hidden(entry.name):
                continue
            if _is_folder(entry):
                below.append(Path(entry.path))
            elif _is_image(entry.name):
                yield entry
        waiting += reversed(below)


def _image_file(entry: os.DirEntry[str], label: int) -> ImageFile:
    """The image file that `entry` names.

    Raises:
        DataError: it leads nowhere or in a circle, is no regular file, or holds nothing.
    """
    try:
        found = entry.stat()
        regular = entry.is_file()
    except OSError as error:
        raise DataError(entry.path, f"cannot be read ({error.strerror})") from error
    if not regular:
        raise DataError(entry.path, "has the name of an image and is not a file")
    if found.st_size == 0:
        raise DataError(entry.path, "is an image file of 0 bytes")
    return ImageFile(entry.path, label, found.st_size, found.st_mtime_ns)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether `entry` is a folder or leads to one; a link to itself does not."""
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


def _kinds() -> str:
    return "kinds: " + ", ".join(suffix[1:] for suffix in SUFFIXES)


def thin_listing(listing: Listing, limit: int | None, seed: int) -> Listing:
    """`listing` with `limit` images in all, each class of each part in proportion.

    They are chosen by their paths, not by their content as elsewhere, so that the others need not be decoded.
    """
    groups: dict[tuple[Part, int], list[ImageFile]] = {}
    for part, members in listing.parts.items():
        for image in members:
            groups.setdefault((part, image.label), []).append(image)
    if limit is None or limit >= sum(map(len, groups.values())):
        return listing
    ranked = [(part, sorted(images, key=lambda image: _draw(image, seed))) for (part, _), images in groups.items()]
    kept = keep_in_proportion(ranked, limit, _splits_drawn(listing))
    return Listing(listing.class_names, {part: tuple(kept.get(part, ())) for part in listing.parts}, listing.skipped)


def _draw(image: ImageFile, seed: int) -> bytes:
    """A number of 32 bytes that puts images in an order without meaning."""
    path = Path(image.path)
    return hashlib.sha256(f"{seed} {path.parent.name}/{path.name}".encode("utf-8", "surrogateescape")).digest()
