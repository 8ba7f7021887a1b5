"""A folder of images, read only as far as somebody asks: the names and kinds of its entries, and whether it holds images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainers.data.file_types import (
    IMAGE_SUFFIXES,
    OTHER_SUFFIXES,
    has_image_signature,
    is_system_file,
    is_system_folder,
    suffix_of,
)
from trainers.disk import is_disk_error

SYSTEM_FILE, SYSTEM_FOLDER = "file of the system", "folder of the system or of a tool"
STUDY = "study or exported model"
LINK_UPWARDS = "link to a folder that contains it"
NO_IMAGE = "not an image by its first bytes"
NO_FILE = "link to nothing, or not a file"


def file_reason(entry: os.DirEntry[str]) -> str | None:
    """Why the file `entry` is passed over; None: it is an image, or is called like one."""
    name = entry.name
    suffix = suffix_of(name)
    if is_system_file(name):
        return SYSTEM_FILE
    if suffix in IMAGE_SUFFIXES and name[0] != ".":  # what a tool hides may be anything
        return None
    if suffix in OTHER_SUFFIXES:
        return f"file of type {suffix}"
    if not _is_regular(entry):
        return NO_FILE
    return None if has_image_signature(entry.path) else NO_IMAGE


def folder_reason(entry: os.DirEntry[str]) -> str | None:
    """Why the folder `entry` is passed over; None: it may be a class or hold images."""
    if is_system_folder(entry.name):
        return SYSTEM_FOLDER
    if entry.is_symlink() and _leads_upwards(Path(entry.path)):
        return LINK_UPWARDS
    if _is_output(Path(entry.path)):
        return STUDY
    return None


def _leads_upwards(link: Path) -> bool:
    """Whether `link` leads to a folder that contains it, by its path or by the links in that path.

    Such a folder holds whatever lies beside the link, which would be read once more, as images of other classes.
    """
    target = Path(os.path.realpath(link))
    return any(Path(os.path.realpath(parent)).is_relative_to(target) for parent in link.parents)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether `entry` is a folder or a link to one; a circular link is not."""
    try:
        return entry.is_dir()
    except OSError as error:
        if is_disk_error(error):
            raise
        return False


def _is_regular(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError as error:
        if is_disk_error(error):
            raise
        return False


def _is_output(folder: Path) -> bool:
    """Whether a search or an export wrote the `folder`.

    Raises:
        PermissionError: the folder may not be read; names it, not the file that was looked for in it.
    """
    try:
        return _holds_output(folder)
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, str(folder)) from error


def _holds_output(folder: Path) -> bool:
    if (folder / "study.db").exists():
        return True
    if (folder / "model.safetensors").exists():
        return (folder / "config.json").exists()
    # A search that has just begun, in a folder of its own.
    return (folder / "lock").exists() and {path.name for path in folder.iterdir()} <= {
        "lock",
        "data",
        "ray",
        "study.yaml",
    }


@dataclass(frozen=True)
class FolderTree:
    """The folder `path`.

    Args:
        path: the folder.
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def _content(self) -> tuple[bool, tuple[FolderTree, ...], bool]:
        """Whether the folder itself holds an image; if not, also all its subfolders, and whether one is a study."""
        folders: list[FolderTree] = []
        study = False
        with os.scandir(self.path) as entries:
            for entry in entries:
                if is_folder(entry):
                    reason = folder_reason(entry)
                    study |= reason == STUDY
                    if reason is None:
                        folders.append(FolderTree(Path(entry.path)))
                elif file_reason(entry) is None:
                    return True, (), False
        return False, tuple(sorted(folders, key=lambda folder: folder.name)), study

    @property
    def has_own_images(self) -> bool:
        """Whether an image is directly in this folder. It is read up to the first one."""
        return self._content[0]

    @cached_property
    def folders(self) -> tuple[FolderTree, ...]:
        """The subfolders that are not passed over, by name."""
        if not self.has_own_images:
            return self._content[1]
        with os.scandir(self.path) as entries:
            paths = [e.path for e in entries if is_folder(e) and folder_reason(e) is None]
        return tuple(FolderTree(Path(path)) for path in sorted(paths))

    @cached_property
    def holds_images(self) -> bool:
        """Whether an image is in this folder or below."""
        return any(folder.has_own_images for folder in self.walk())

    @cached_property
    def holds_only_studies(self) -> bool:
        """Whether studies are in this folder or below, and no images."""
        return not self.holds_images and any(folder._content[2] for folder in self.walk())

    @cached_property
    def class_folders(self) -> tuple[FolderTree, ...]:
        """The subfolders that hold an image, in themselves or below."""
        return tuple(folder for folder in self.folders if folder.holds_images)

    def walk(self) -> Iterator[FolderTree]:
        """The folder and all below, each once, so that circular links end."""
        queue = [self]
        seen: set[tuple[int, int]] = set()
        while queue:
            current = queue.pop()
            status = current.path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            yield current
            queue += reversed(current.folders)
