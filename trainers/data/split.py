"""A fixed, stratified split by content: which split an image is in depends on its pixels and a seed alone.

Each image has a digest: SHA-256 over the seed, its shape and its pixels. Within a class, images are in the order of their
digests; the first ones are the validation split, the next ones the test split, the rest is the train split. So the split
depends neither on the order nor on the names of files, and equal images are in the same split, whatever their classes.
Images themselves are not copied: their rows are selected and ordered.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trainers.data.duplicates import Duplicates, SplitImages, find_duplicates
from trainers.data.grouping import Grouping, assign_groups, shared_groups
from trainers.data.limit import keep_in_proportion
from trainers.data.types import PARTS, DecodedData, LabeledImages, Part, SplitRequest
from trainers.errors import DataError

IMAGES_PER_HEARTBEAT = 256
"""Images whose digests are computed between two looks at whether the work goes on."""
MAX_CLASSES_NAMED = 8
"""Classes without an image in a split that an error names; of more there is the number."""


@dataclass(frozen=True)
class Selection:
    """Some images of a part, in an order.

    Args:
        source: the images of the part.
        rows: which of them, int64 `(M,)`.
    """

    source: LabeledImages
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image, `(M,)`."""
        return self.source.labels[self.rows]

    def blocks(self, max_bytes: int = 1 << 20) -> Iterator[NDArray[np.uint8]]:
        """The images, `(n, C, H, W)` at a time, at most `max_bytes` or else one: never a copy of all of them."""
        count = max(1, max_bytes // max(1, int(np.prod(self.source.images.shape[1:]))))
        for start in range(0, len(self.rows), count):
            yield np.ascontiguousarray(self.source.images[self.rows[start : start + count]])


@dataclass(frozen=True)
class Partition:
    """The train, validation and test split of some data.

    Args:
        splits: the images of each split.
        duplicates: the equal images among them.
    """

    splits: Mapping[Part, Selection]
    duplicates: Duplicates


def partition(decoded: DecodedData, request: SplitRequest, heartbeat: Callable[[], None] = lambda: None) -> Partition:
    """The train, validation and test split of `decoded`, `request.limit` images in all.

    Args:
        decoded: the images.
        request: how to split them.
        heartbeat: called now and then; ends the work by raising an error.

    Raises:
        DataError: a class has too few images to be in every split, or the limit leaves it too few; or two classes have
            the same images.
    """
    for part, images in decoded.parts.items():
        _check_labels(images.labels, part, decoded)
    digests = {part: digest_all(images, request.seed, heartbeat) for part, images in decoded.parts.items()}
    _check_classes_differ(digests["train"], decoded.parts["train"].labels, decoded.class_names)
    groups = None if request.group_by is None else _groups(decoded, request.group_by)
    splits = _split_rows(decoded, digests, _limit_rows(decoded, digests, request), request, groups)
    duplicates = find_duplicates({part: _images_of(part, splits[part], decoded, digests) for part in splits})
    if groups is not None:
        members = {p: {groups[_origin(p, decoded)][row] for row in splits[p].rows.tolist()} for p in splits}
        duplicates = replace(duplicates, groups=shared_groups(members))
    return Partition(splits, duplicates)


def _groups(decoded: DecodedData, group_by: str) -> dict[Part, list[str]]:
    """The group of each image of each part.

    Raises:
        DataError: the images have no paths, or some have no group.
    """
    if decoded.root is None:
        raise DataError("group_by", f"must be left out: the images of {decoded.name} have no paths", group_by)
    names = {part: [decoded.name_of(part, row) for row in range(len(images))] for part, images in decoded.parts.items()}
    grouping = Grouping.read(group_by, decoded.root).spelled_as(set().union(*names.values()))
    return {part: grouping.groups_of(of_part) for part, of_part in names.items()}


def _images_of(
    part: Part, selection: Selection, decoded: DecodedData, digests: Mapping[Part, Sequence[bytes]]
) -> SplitImages:
    """The images of a split, for `find_duplicates`."""
    origin = _origin(part, decoded)
    return SplitImages(
        rows=selection.rows,
        digest_of=digests[origin].__getitem__,
        label_of=selection.source.labels.__getitem__,
        name_of=partial(decoded.name_of, origin),
    )


def _origin(split: Part, decoded: DecodedData) -> Part:
    """The part that the images of `split` come from: its own, or "train" if the source has none."""
    return split if split in decoded.parts else "train"


def digest_all(images: LabeledImages, seed: int, heartbeat: Callable[[], None] = lambda: None) -> list[bytes]:
    """The digest of each image, 32 bytes; `heartbeat` is called before each `IMAGES_PER_HEARTBEAT` images."""
    prefix = f"{seed} {images.images.shape[1:]} ".encode()
    digests: list[bytes] = []
    for start in range(0, len(images), IMAGES_PER_HEARTBEAT):
        heartbeat()
        block = images.images[start : start + IMAGES_PER_HEARTBEAT]
        digests += [hashlib.sha256(prefix + image.tobytes()).digest() for image in block]
    return digests


def assign(digests: Sequence[bytes], labels: NDArray[np.int64], shares: Mapping[Part, float]) -> list[Part]:
    """The split of each image of the train part: "train" or one of those in `shares`.

    Args:
        digests: the digest of each image.
        labels: `(N,)`, the class of each image.
        shares: the share of each split that the source does not have itself.
    """
    split_of: dict[bytes, Part] = {}
    for members in _rows_by_class(labels, int(labels.max(initial=0)) + 1):
        copies = Counter(digests[i] for i in members.tolist())
        targets = _target_counts(copies.total(), shares)
        counts: Counter[Part] = Counter()
        for digest, count in copies.items():
            if digest in split_of:  # an earlier class has the same image
                counts[split_of[digest]] += count
        new = sorted(digest for digest in copies if digest not in split_of)
        for position, digest in enumerate(new):
            split_of[digest] = _next_split(counts, targets, remaining=len(new) - position)
            counts[split_of[digest]] += copies[digest]
    return [split_of[digest] for digest in digests]


def _target_counts(count: int, shares: Mapping[Part, float]) -> dict[Part, int]:
    """Images of a class of `count` that each split should get: the nearest whole number, but at least one."""
    targets = {name: max(1, int(count * share + 0.5)) for name, share in shares.items()}
    while targets and sum(targets.values()) >= count and max(targets.values()) > 1:
        targets[max(targets, key=lambda name: targets[name])] -= 1
    return targets


def _next_split(counts: Mapping[Part, int], targets: Mapping[Part, int], remaining: int) -> Part:
    """The split of the next of `remaining` distinct images: one that is below its target, else "train"."""
    order: list[Part] = [*targets, "train"]
    empty = [name for name in order if counts[name] == 0]
    if len(empty) >= remaining:  # copies of one image may have filled a split: the last images go to the empty ones
        return empty[0]
    return next((name for name in targets if counts[name] < targets[name]), "train")


def check_every_class(
    labels: NDArray[np.int64], part: Part, class_names: Sequence[str], distinct: Sequence[int], skipped: int = 0
) -> None:
    """Check that every class has an image in a split.

    Args:
        labels: of the split.
        part: the name of the split.
        class_names: of all classes.
        distinct: number of different images of each class in the part that the split was drawn from.
        skipped: number of broken images that were left out, of whatever class.

    Raises:
        DataError: classes have none; names the first of them with their numbers of different images, and how many they are.
    """
    empty = np.flatnonzero(np.bincount(labels, minlength=len(class_names)) == 0).tolist()
    if not empty:
        return
    note = f" ({skipped} broken images of the data are left out)" if skipped else ""
    needed = "a class needs a different image for each split drawn from it"
    if len(empty) == 1:
        rule = f"has no image for the {part} split{note}; {needed}, or leave it out (data.classes, source folder)"
        raise DataError(f"class {class_names[empty[0]]!r}", rule, distinct[empty[0]])
    counts = ", ".join(f"{class_names[index]!r} {distinct[index]}" for index in empty[:MAX_CLASSES_NAMED])
    more = ", ..." if len(empty) > MAX_CLASSES_NAMED else ""
    rule = f"have no image for the {part} split{note}; {needed}, or leave them out (data.classes, source folder)"
    raise DataError(f"{len(empty)} classes", f"{rule}; their different images are {counts}{more}")


def _check_labels(labels: NDArray[np.int64], part: Part, decoded: DecodedData) -> None:
    """Check that every label is the number of a class."""
    wrong = labels[(labels < 0) | (labels >= len(decoded.class_names))]
    if len(wrong):
        rule = f"must label images with 0 to {len(decoded.class_names) - 1}, the numbers of its classes"
        raise DataError(f"the {part} part of {decoded.name}", rule, int(wrong[0]))


def _check_classes_differ(digests: Sequence[bytes], labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
    """Check that no two classes have the same set of images: a copied folder, whose classes nothing can tell apart."""
    name_of: dict[frozenset[bytes], str] = {}
    for members, name in zip(_rows_by_class(labels, len(class_names)), class_names, strict=True):
        images = frozenset(digests[i] for i in members.tolist())
        if images and name_of.setdefault(images, name) != name:
            raise DataError(f"class {name!r}", f"has the same images as class {name_of[images]!r}; must differ from it")


def _rows_by_class(labels: NDArray[np.int64], classes: int) -> list[NDArray[np.int64]]:
    """For each class the rows of its images, in their order."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels, minlength=classes))[:-1])


def _limit_rows(
    decoded: DecodedData, digests: Mapping[Part, Sequence[bytes]], request: SplitRequest
) -> dict[Part, list[int]]:
    """The rows of `request.limit` images in all, each class of each part in proportion; chosen by content."""
    groups = [
        (part, members)
        for part, images in decoded.parts.items()
        for members in _rows_by_class(images.labels, len(decoded.class_names))
    ]
    total = sum(len(members) for _, members in groups)
    if request.limit is None or request.limit >= total:
        return {part: list(range(len(images))) for part, images in decoded.parts.items()}
    train_minimum = 1 + len(_drawn_shares(decoded, request))
    ranked = [(part, sorted(members.tolist(), key=digests[part].__getitem__)) for part, members in groups]
    return keep_in_proportion(ranked, request.limit, train_minimum)


def _split_rows(
    decoded: DecodedData,
    digests: Mapping[Part, Sequence[bytes]],
    rows: Mapping[Part, list[int]],
    request: SplitRequest,
    groups: Mapping[Part, Sequence[str]] | None,
) -> dict[Part, Selection]:
    """The three splits of `rows`, each in the order of its images' digests, each with every class."""
    train_labels, train_rows = decoded.parts["train"].labels, rows["train"]
    row_digests, row_labels = [digests["train"][i] for i in train_rows], train_labels[train_rows]
    shares = _drawn_shares(decoded, request)
    if groups is None or not shares:
        assigned = assign(row_digests, row_labels, shares)
    else:
        counts = np.bincount(row_labels, minlength=len(decoded.class_names)).tolist()
        targets = [_target_counts(count, shares) for count in counts]
        row_groups = [groups["train"][i] for i in train_rows]
        assigned = assign_groups(row_groups, row_digests, row_labels, targets, decoded.class_names, request.seed)
    splits: dict[Part, Selection] = {}
    for part in PARTS:
        origin = _origin(part, decoded)
        if origin == part != "train":
            members = rows[part]
        else:
            members = [i for i, split in zip(train_rows, assigned, strict=True) if split == part]
        labels = decoded.parts[origin].labels[members].tolist()
        ordered = sorted((digests[origin][i], label, i) for i, label in zip(members, labels, strict=True))
        splits[part] = Selection(decoded.parts[origin], np.array([i for _, _, i in ordered], np.int64))
    distinct: list[set[bytes]] = [set() for _ in decoded.class_names]
    for row in train_rows:
        distinct[train_labels[row]].add(digests["train"][row])
    for part, selection in splits.items():
        counts = [len(images) for images in distinct]
        check_every_class(selection.labels, part, decoded.class_names, counts, len(decoded.skipped))
    return splits


def _drawn_shares(decoded: DecodedData, request: SplitRequest) -> dict[Part, float]:
    """The share of each split that has to be drawn from the train part."""
    shares: Mapping[Part, float] = {"val": request.val_fraction, "test": request.test_fraction}
    return {part: share for part, share in shares.items() if part not in decoded.parts}
