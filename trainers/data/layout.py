"""Which folders are the parts of a data set and which are its classes. Nothing is guessed: two readings are an error.

1. **Parts.** `ROOT/{train,val,test}/CLASS/...` is read where a folder is called like the train part and holds folders of
   images, and either another folder is called like a part or no other folder holds images. Names of parts are read in any
   case and with the usual synonyms (`trainers.data.part_names`). A part may be in one more folder of its name
   (`seg_train/seg_train/CLASS`) or of a name such as `images`. A missing part is drawn from the train part, and so is one
   that holds images and no folder of images: they have no classes (Kaggle's `test`), and are passed over. Folders beside the
   parts are passed over.
2. **Classes.** Otherwise every folder in `ROOT` is a class, whatever its name: `test` is a class where no folder is a train
   part. Images may be in subfolders of the folder of their class, unless these could be classes themselves (see 3).
3. **Errors.** A data set in a folder of its own (`ROOT/Dataset/...`), also beside other folders (`ROOT/Examples`); the same
   folders in several folders (`ROOT/{raw,augmented}/{cat,dog}`); several folders, not called by numbers, in one folder of
   images and none in another (`ROOT/{cat/{young,old},dog}`); parts below the classes; parts without folders of classes; two
   folders for one part. The error names the path that was probably meant.
4. **Named classes.** If the classes are named (`data.classes`) and all are folders in `ROOT`, these are read, with all images
   below them; else those in the folders of the parts. Other folders of images are passed over.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.data.folder_tree import FolderTree
from trainers.data.part_names import is_neutral, parts_of
from trainers.data.types import PARTS, Part
from trainers.errors import DataError

MAX_FOLDERS_NAMED = 4
MAX_CHOICE_LENGTH = 400
MIN_SHARED_FOLDERS = 2
"""Folders have the same structure if at least this many, and half, of the names of their folders are equal."""


@dataclass(frozen=True)
class Layout:
    """The folders of a data set.

    Args:
        parts: the folder of each part; its folders are the classes.
        without_classes: folders of a part that hold images and no folders of images.
        beside_parts: other folders that hold images.
    """

    parts: Mapping[Part, FolderTree]
    without_classes: Mapping[Part, FolderTree]
    beside_parts: tuple[FolderTree, ...] = ()


def find_layout(root: Path, classes: Sequence[str] | None = None) -> Layout:
    """The layout of the data set in the folder `root`.

    Args:
        root: the folder.
        classes: the names of the classes; None: whatever is there.

    Raises:
        DataError: it can be read in two ways, or in none.
        OSError: a folder cannot be read.
    """
    tree = FolderTree(root)
    if classes is not None and set(classes) <= {folder.name for folder in tree.class_folders}:
        return Layout({"train": tree}, {})
    layout = _parts_layout(tree)
    if layout is None:
        if classes is None:
            _check_classes_layout(tree)
        layout = Layout({"train": tree}, {})
    return layout


def _parts_layout(root: FolderTree) -> Layout | None:
    """The layout of `root` if it has parts with classes."""
    part_of = parts_of(folder.name for folder in root.folders)
    named = [folder for folder in root.folders if folder.name in part_of]
    trains = [_unwrap(folder) for folder in named if part_of[folder.name] == "train"]
    if not any(folder.class_folders for folder in trains):
        if len(set(part_of.values())) > 1 and all(folder.name in part_of for folder in root.class_folders):
            raise _no_train_classes(root, [folder.name for folder in named], trains)
        return None
    others = tuple(folder for folder in root.class_folders if folder.name not in part_of)
    if len(named) == 1 and others:
        if trains[0].has_own_images:
            return None
        raise _two_readings(root, trains[0], others)
    if len(named) == 1 and trains[0].has_own_images:
        return None
    folders: dict[Part, FolderTree] = {}
    for folder in named:
        part = part_of[folder.name]
        if part in folders:
            names = [other.name for other in named if part_of[other.name] == part]
            raise DataError(str(root.path), f"has two folders for the {part} split", names)
        folders[part] = _unwrap(folder)
    for folder in folders.values():
        if not folder.holds_images:
            raise DataError(str(folder.path), "is called like a part and holds no images; remove it or fill it")
    with_classes = {part: folders[part] for part in PARTS if part in folders and folders[part].class_folders}
    without = {part: folders[part] for part in PARTS if part in folders and part not in with_classes}
    return Layout(with_classes, without, others)


def _unwrap(folder: FolderTree) -> FolderTree:
    """The folder that holds the classes of a part: `folder`, or the only folder in it if its name is no class's."""
    while not folder.has_own_images and len(folder.class_folders) == 1:
        (inner,) = folder.class_folders
        part = parts_of([inner.name]).get(inner.name)
        part_again = part is not None and part == parts_of([folder.name]).get(folder.name)
        if not (part_again or is_neutral(inner.name) or inner.name.lower() == folder.name.lower()):
            break
        folder = inner
    return folder


def _check_classes_layout(root: FolderTree) -> None:
    """Check that the folders of `root` can only be read as classes."""
    holding = root.class_folders
    nested = [folder for folder in holding if not folder.has_own_images]
    for folder in nested:
        _check_not_parts(root, folder)
    if len(holding) == 1 and nested:
        meant = _probably_meant(holding[0])
        raise DataError(str(root.path), f"holds no folder of images itself; did you mean {meant.path}?")
    data_sets = [folder for folder in nested if len(folder.class_folders) > 1]
    repeating = _repeat_structure(data_sets)
    for folder in data_sets:
        numbered = all(inner.name.isdecimal() for inner in folder.class_folders)
        if folder in repeating or is_neutral(folder.name) or (len(data_sets) < len(holding) and not numbered):
            raise _two_readings(root, folder, [other for other in holding if other != folder])


def _check_not_parts(root: FolderTree, folder: FolderTree) -> None:
    """Check that `folder`, in `root`, does not hold the parts of a data set, or of a class."""
    part_of = parts_of(inner.name for inner in folder.folders)
    if "train" not in part_of.values():
        return
    trains = [inner for inner in folder.folders if part_of.get(inner.name) == "train"]
    if any(_unwrap(inner).class_folders for inner in trains):
        raise DataError(str(root.path), f"holds no folder of images itself; did you mean {folder.path}?")
    if len(part_of) > 1:
        rule = "is the folder of a part below that of a class; must be the other way round"
        raise DataError(str(trains[0].path), f"{rule}: {root.path / trains[0].name / folder.name}")


def _probably_meant(folder: FolderTree) -> FolderTree:
    """The first folder, from `folder` downwards, that does not only hold one other folder."""
    while not folder.has_own_images and len(folder.class_folders) == 1 and not folder.class_folders[0].has_own_images:
        (folder,) = folder.class_folders
    return folder


def _repeat_structure(folders: Sequence[FolderTree]) -> set[FolderTree]:
    """Those of `folders` that have the structure of an earlier one.

    There may be ten thousands, so not every pair is compared. Two sets of names with the same structure share at least half of
    either, so at least one of the names that remain when all but one of that half, the most frequent, are left out.
    """
    names_of = [frozenset(inner.name.lower() for inner in folder.folders) for folder in folders]
    counts = Counter(name for names in names_of for name in names)
    earlier: dict[str, list[frozenset[str]]] = {}
    repeating: set[FolderTree] = set()
    for folder, names in zip(folders, names_of, strict=True):
        shared = max(MIN_SHARED_FOLDERS, (len(names) + 1) // 2)
        rare = sorted(names, key=lambda name: (counts[name], name))[: max(0, len(names) - shared + 1)]
        if any(have_same_structure(names, other) for name in rare for other in earlier.get(name, ())):
            repeating.add(folder)
        for name in rare:
            earlier.setdefault(name, []).append(names)
    return repeating


def have_same_structure(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether the names of folders `a` and `b` are the same, for the most part."""
    shared = len(a & b)
    return shared >= MIN_SHARED_FOLDERS and 2 * shared >= len(a | b)


def _no_train_classes(root: FolderTree, names: Sequence[str], trains: Sequence[FolderTree]) -> DataError:
    if not trains:
        return DataError(str(root.path), "holds folders for parts, and none for the train part", list(names))
    found = "images without" if trains[0].holds_images else "neither images nor"
    rule = f"is called like a part; must hold a folder of images for each class, found {found} such folders"
    return DataError(str(trains[0].path), rule)


def _two_readings(root: FolderTree, data_set: FolderTree, others: Sequence[FolderTree]) -> DataError:
    classes = _list_names([folder.name for folder in sorted((data_set, *others), key=lambda folder: folder.name)])
    inner = _list_names([folder.name for folder in data_set.class_folders])
    choice = _choice_of([folder.name for folder in root.class_folders])
    rule = (
        f"can be read in two ways: as the classes {classes}, or {data_set.path} is the data set with the classes {inner}; "
        f"name the path of the data set, or the classes: {choice}"
    )
    return DataError(str(root.path), rule)


def _choice_of(names: Sequence[str]) -> str:
    """The setting that names these classes."""
    is_plain = all(re.fullmatch(r"[A-Za-z_][\w-]*", name) for name in names)
    listed = ", ".join(sorted(names)) if is_plain else ", ".join(map(json.dumps, sorted(names)))
    return f"data.classes=[{listed}]" if len(listed) <= MAX_CHOICE_LENGTH else "data.classes=[...]"


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:MAX_FOLDERS_NAMED]))
    return shown + (", ..." if len(names) > MAX_FOLDERS_NAMED else "")
