"""The image files of a folder of images, class by class, and what was passed over.

`trainers.data.layout` says which folders are parts and classes, `trainers.data.file_types` which files are images. Images may
be in subfolders of the folder of their class. Whatever else is in the folders is passed over, counted and named. Symbolic
links are followed, but for those to a folder that contains them, which would make the images of all classes those of one.
Within a class, a folder that several links lead to is read once, so circular links end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainers.data.class_order import sort_classes
from trainers.data.file_types import FREQUENT_TYPES
from trainers.data.folder_tree import STUDY, FolderTree, file_reason, folder_reason, is_folder
from trainers.data.layout import Layout, find_layout
from trainers.data.limit import keep_in_proportion
from trainers.data.passed_over import PassedOverCounter
from trainers.data.same_classes import check_same_classes
from trainers.data.types import Part, PassedOver
from trainers.disk import error_kind
from trainers.errors import DataError, DiskError, skippable

NO_CLASS = "image outside the folders of classes"
NO_CLASSES = "image of a part without folders of classes"
NO_PART = "image in a folder beside the parts"
EMPTY_FOLDER = "folder without images"
NOT_CHOSEN = "folder of a class that data.classes leaves out"

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
        passed_over: the other files and folders, by part and reason.
    """

    class_names: tuple[str, ...]
    parts: Mapping[Part, tuple[ImageFile, ...]]
    skipped: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


def scan(root: Path, *, skip: bool = False, classes: Sequence[str] | None = None) -> Listing:
    """List the images under `root` without decoding any.

    Args:
        root: the folder.
        classes: the names of the classes; None: all.
        skip: leave out empty image files and those that cannot be reached.

    Raises:
        DiskError: the disk or the machine fails; no file is left out for that.
        DataError: the folder does not exist, or it holds no images, only one class, a class without images, a class in
            one part that is not in another, folders that can be read in two ways, folders that cannot be classes, a folder
            that cannot be read, or (unless `skip`) an image file that cannot be read.
    """
    try:
        if not root.exists():
            raise DataError(str(root), "no such folder")
        if not root.is_dir():
            raise DataError(str(root), "is not a folder; must be the folder that holds a folder for each class")
        return _Scan(root, skip, classes).listing()
    except OSError as error:
        raise error_kind(error)(str(error.filename or root), f"cannot be read ({error.strerror})") from error


class _Scan:
    """One listing of the folder `root`."""

    def __init__(self, root: Path, skip: bool, classes: Sequence[str] | None) -> None:
        self._root = root
        self._classes = None if classes is None else frozenset(classes)
        self._skipped: list[str] | None = [] if skip else None
        self._passed_over = PassedOverCounter(str(root))

    def listing(self) -> Listing:
        """List the images."""
        layout = find_layout(self._root, None if self._classes is None else sorted(self._classes))
        train = layout.parts["train"]
        class_names = sort_classes(folder.name for folder in self._class_folders(train))
        if self._classes is not None and self._classes != set(class_names):
            raise self._missing_class(train, class_names)
        if not class_names:
            raise DataError(str(train.path), "holds no folder of images; must hold one for each class")
        for folder in layout.parts.values():
            names = [inner.name for inner in self._class_folders(folder)]
            check_same_classes(self._root, (train.path, class_names), (folder.path, names))
        parts = {part: self._images_of(part, folder, class_names) for part, folder in layout.parts.items()}
        if len(class_names) == 1:
            raise DataError(str(train.path), "must hold at least two classes, each in a folder", class_names[0])
        self._note_other_folders(layout)
        listing = Listing(class_names, parts, tuple(self._skipped or ()), self._passed_over.records())
        _check_classes(train.path, listing)
        return listing

    def _class_folders(self, folder: FolderTree) -> list[FolderTree]:
        """The folders of classes in that of a part; without images, hidden folders and those of studies are none."""
        return [
            inner
            for inner in folder.folders
            if (inner.holds_images or not (inner.name.startswith(".") or inner.holds_only_studies))
            and (self._classes is None or inner.name in self._classes)
        ]

    def _missing_class(self, train: FolderTree, found: Sequence[str]) -> DataError:
        """The error of a class that was named and is no folder."""
        (name, *_) = sorted((self._classes or set()) - set(found))
        folders = sort_classes(folder.name for folder in train.folders if folder.holds_images)
        known = ", ".join(folder if folder == folder.strip() else repr(folder) for folder in folders)
        return DataError("classes", f"must be folders of images in {train.path} ({known or 'there are none'})", name)

    def _images_of(self, part: Part, folder: FolderTree, class_names: Sequence[str]) -> tuple[ImageFile, ...]:
        """The images of one part."""
        names = set(class_names)
        images: list[ImageFile] = []
        for label, name in enumerate(class_names):
            before, others_before = len(images), self._passed_over.counts()
            for entry in self._walk(folder.path / name, part):
                try:
                    images.append(image_file(entry, label))
                except DataError as error:
                    if self._skipped is None or isinstance(error, DiskError):
                        raise skippable(error) from error.__cause__
                    self._skipped.append(str(error))
            if len(images) == before:
                others = self._passed_over.counts()
                found = [f"{count - others_before.get(reason, 0)} x {reason}" for reason, count in others.items()]
                found = [text for text in found if not text.startswith("0 x")]
                note = f"; passed over: {', '.join(found)}" if found else ""
                raise DataError(str(folder.path / name), f"holds no images (types: {FREQUENT_TYPES}){note}")
        part_beside: Part | None = None if folder.path == self._root else part
        self._note_entries(folder, part_beside, names)
        return tuple(images)

    def _walk(self, folder: Path, part: Part) -> Iterator[os.DirEntry[str]]:
        """The image files in `folder` and below, each folder once; the others are counted."""
        queue = [str(folder)]
        seen: set[tuple[int, int]] = set()
        while queue:
            current = queue.pop()
            status = Path(current).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            subfolders: list[str] = []
            for entry in sorted(os.scandir(current), key=lambda entry: entry.name):
                if is_folder(entry):
                    reason = folder_reason(entry)
                    if reason is None:
                        subfolders.append(entry.path)
                    else:
                        self._passed_over.add(part, reason, entry.path + "/")
                elif (reason := file_reason(entry)) is None:
                    yield entry
                else:
                    self._passed_over.add(part, reason, entry.path)
            queue += reversed(subfolders)

    def _note_entries(self, folder: FolderTree, part: Part | None, read: set[str]) -> None:
        """Count what is directly in `folder` and is none of the folders that are `read`."""
        others = [inner for inner in folder.folders if inner.name not in read]
        with_studies = {inner.name for inner in others if inner.holds_only_studies}
        not_chosen = {inner.name for inner in others if self._classes is not None and inner.holds_images}
        for entry in sorted(os.scandir(folder.path), key=lambda entry: entry.name):
            if not is_folder(entry):
                self._passed_over.add(part, file_reason(entry) or NO_CLASS, entry.path)
            elif entry.name not in read:
                other = STUDY if entry.name in with_studies else EMPTY_FOLDER
                other = NOT_CHOSEN if entry.name in not_chosen else other
                self._passed_over.add(part, folder_reason(entry) or other, entry.path + "/")

    def _note_other_folders(self, layout: Layout) -> None:
        """Count the images of the folders that hold no classes, and what is beside the folders of the parts."""
        if layout.parts["train"].path == self._root:
            return
        for part, folder in layout.without_classes.items():
            self._note_images(folder, part, NO_CLASSES)
        for folder in layout.beside_parts:
            self._note_images(folder, None, NO_PART)
        read = (*layout.parts.values(), *layout.without_classes.values(), *layout.beside_parts)
        names = {folder.path.relative_to(self._root).parts[0] for folder in read}
        self._note_entries(FolderTree(self._root), None, names)

    def _note_images(self, folder: FolderTree, part: Part | None, reason: str) -> None:
        for entry in self._walk(folder.path, part or "train"):
            self._passed_over.add(part, reason, entry.path)


def _check_classes(folder: Path, listing: Listing) -> None:
    """Check that the folders look like classes: their names are text, and there are far fewer than images."""
    for name in listing.class_names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(str(folder / name), "has a name that is not UTF-8; must be the name of a class")
    classes, images, minimum = len(listing.class_names), len(listing.parts["train"]), train_minimum(listing)
    if classes >= MIN_CLASSES_TO_COUNT and images < minimum * classes:
        rule = f"must hold a folder for each class, with {minimum} images or more, of which each split gets one"
        raise DataError(str(folder), f"{rule}; found {classes} folders with {images} images in all")


def train_minimum(listing: Listing) -> int:
    """Images that a class needs in the train part: one for each split that is drawn from it."""
    return 1 + len({"val", "test"} - set(listing.parts))


def image_file(entry: os.DirEntry[str], label: int) -> ImageFile:
    """The image file that `entry` names.

    Raises:
        DiskError: the disk or the machine fails.
        DataError: it is a broken or circular link, is no regular file, or is empty.
    """
    try:
        status = entry.stat()
        regular = entry.is_file()
    except OSError as error:
        raise error_kind(error)(entry.path, f"cannot be read ({error.strerror})") from error
    if not regular:
        raise DataError(entry.path, "has the name of an image and is not a file")
    if status.st_size == 0:
        raise DataError(entry.path, "is an image file of 0 bytes")
    return ImageFile(entry.path, label, status.st_size, status.st_mtime_ns)


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
    kept = keep_in_proportion(ranked, limit, train_minimum(listing))
    return replace(listing, parts={part: tuple(kept.get(part, ())) for part in listing.parts})


def _random_key(image: ImageFile, seed: int) -> bytes:
    """32 bytes by which images are put in a random but fixed order."""
    path = Path(image.path)
    return hashlib.sha256(f"{seed} {path.parent.name}/{path.name}".encode("utf-8", "surrogateescape")).digest()
