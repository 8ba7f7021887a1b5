"""A fixed, stratified split by content: which image is validated or tested on depends on its pixels and a seed alone.

Each image has a digest: SHA-256 over the seed, its shape and its pixels. Within a class, images stand in the order of
their digests; the first ones are the validation split, the next ones the test split, the rest is trained on. So the
split depends neither on the order nor on the names of files, and equal images are in the same split, whatever their
classes. Images themselves are not moved about: what is chosen and put in order are their rows.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trainers.data.types import PARTS, DecodedData, LabeledImages, Part, SplitRequest
from trainers.errors import DataError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Chosen:
    """Some of the `pictures`, in an order: those of `rows`, int64 `(M,)`."""

    images: LabeledImages
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each, `(M,)`."""
        return self.images.labels[self.rows]

    def pieces(self, max_bytes: int = 1 << 20) -> Iterator[NDArray[np.uint8]]:
        """The images, `(n, C, H, W)` at a time, of `max_bytes` or else one: never a copy of all of them."""
        count = max(1, max_bytes // max(1, int(np.prod(self.images.images.shape[1:]))))
        for start in range(0, len(self.rows), count):
            yield np.ascontiguousarray(self.images.images[self.rows[start : start + count]])


def partition(decoded: DecodedData, request: SplitRequest) -> dict[Part, Chosen]:
    """The train, validation and test split of `decoded`, `request.limit` images in all.

    Raises:
        DataError: a class has too few images to be in every split, or the limit leaves it too few; or two classes are
            the same images.
    """
    for part, pictures in decoded.parts.items():
        _check_labels(pictures.labels, part, decoded)
    keys = {part: digests(pictures, request.seed) for part, pictures in decoded.parts.items()}
    _check_different(keys["train"], decoded.parts["train"].labels, decoded.class_names)
    return _drawn(decoded, keys, _thinned(decoded, keys, request), request)


def digests(images: LabeledImages, seed: int) -> list[bytes]:
    """The digest of each image, 32 bytes."""
    prefix = f"{seed} {images.images.shape[1:]} ".encode()
    return [hashlib.sha256(prefix + image.tobytes()).digest() for image in images.images]


def allot(counts: Sequence[int], limit: int, at_least: Sequence[int]) -> list[int]:
    """How many of each group to keep so that `limit` are kept in all, in proportion to `counts` (largest remainders).

    Args:
        counts: images of each group.
        limit: images to keep, below the sum of `counts`.
        at_least: what each group keeps in any case; no more than it has.

    Raises:
        DataError: `limit` is below the sum of `at_least`.
    """
    if limit < sum(at_least):
        raise DataError(
            "limit", f"must be at least {sum(at_least)}, for every class needs an image in every split", limit
        )
    exact = [limit * count / sum(counts) for count in counts]
    kept = [max(low, int(share)) for low, share in zip(at_least, exact, strict=True)]
    step = 1 if sum(kept) < limit else -1
    bounds = counts if step == 1 else at_least
    # The group that is furthest from its exact share gives or takes one, until the sum is right.
    waiting = [(step * (kept[g] - exact[g]), g) for g in range(len(kept)) if kept[g] != bounds[g]]
    heapq.heapify(waiting)
    for _ in range(abs(limit - sum(kept))):
        _, group = heapq.heappop(waiting)
        kept[group] += step
        if kept[group] != bounds[group]:
            heapq.heappush(waiting, (step * (kept[group] - exact[group]), group))
    return kept


def keep_in_proportion(
    groups: Sequence[tuple[Part, Sequence[Item]]], limit: int, in_train: int
) -> dict[Part, list[Item]]:
    """The first of each class of each part, `limit` images in all, each class in proportion.

    Args:
        groups: the images of each class of a part, in the order in which they are kept.
        limit: images to keep, fewer than there are.
        in_train: images that a class of the train part keeps in any case; of the others it keeps one.

    Raises:
        DataError: `limit` is too low for that.
    """
    at_least = [min(len(members), in_train if part == "train" else 1) for part, members in groups]
    counts = allot([len(members) for _, members in groups], limit, at_least)
    kept: dict[Part, list[Item]] = {}
    for (part, members), count in zip(groups, counts, strict=True):
        kept.setdefault(part, []).extend(members[:count])
    return kept


def assign(keys: Sequence[bytes], labels: NDArray[np.int64], shares: Mapping[Part, float]) -> list[Part]:
    """The split of each image of the train part: "train" or one of those in `shares`.

    Args:
        keys: the digest of each image.
        labels: `(N,)`, the class of each image.
        shares: the share of each split that the source does not have itself.
    """
    placed: dict[bytes, Part] = {}
    for members in _members(labels, int(labels.max(initial=0)) + 1):
        copies = Counter(keys[i] for i in members.tolist())
        wanted = _wanted(copies.total(), shares)
        have: Counter[Part] = Counter()
        for key, count in copies.items():
            if key in placed:  # the same image stands in an earlier class too
                have[placed[key]] += count
        fresh = sorted(key for key in copies if key not in placed)
        for position, key in enumerate(fresh):
            placed[key] = _next_split(have, wanted, left=len(fresh) - position)
            have[placed[key]] += copies[key]
    return [placed[key] for key in keys]


def _wanted(count: int, shares: Mapping[Part, float]) -> dict[Part, int]:
    """Images of a class of `count` that each split should get: the nearest whole number, but one at least."""
    wanted = {name: max(1, int(count * share + 0.5)) for name, share in shares.items()}
    while wanted and sum(wanted.values()) >= count and max(wanted.values()) > 1:
        wanted[max(wanted, key=lambda name: wanted[name])] -= 1
    return wanted


def _next_split(have: Mapping[Part, int], wanted: Mapping[Part, int], left: int) -> Part:
    """The split that the next of `left` distinct images goes to: one that lacks images, else "train"."""
    order: list[Part] = [*wanted, "train"]
    empty = [name for name in order if have[name] == 0]
    if len(empty) >= left:  # copies of one image may have filled a split alone: the last ones go where none is yet
        return empty[0]
    return next((name for name in wanted if have[name] < wanted[name]), "train")


def check_classes(
    labels: NDArray[np.int64], part: Part, class_names: Sequence[str], distinct: Sequence[int], skipped: int = 0
) -> None:
    """Every class must have an image in this split.

    Args:
        labels: of the split.
        part: the split.
        class_names: of all classes.
        distinct: different images that each class has in the part that the split was drawn from.
        skipped: broken images that were left out, of whatever class.

    Raises:
        DataError: a class has none.
    """
    present = np.bincount(labels, minlength=len(class_names))
    for index in np.flatnonzero(present == 0).tolist():
        left_out = f" ({skipped} broken images of the data are left out)" if skipped else ""
        rule = (
            f"has no image for the {part} split{left_out}; a class needs a different image for each split drawn from it"
        )
        raise DataError(f"class {class_names[index]!r}", rule, distinct[index])


def _check_labels(labels: NDArray[np.int64], part: Part, decoded: DecodedData) -> None:
    """Every label must be that of a class."""
    wrong = labels[(labels < 0) | (labels >= len(decoded.class_names))]
    if len(wrong):
        rule = f"must label images with 0 to {len(decoded.class_names) - 1}, the numbers of its classes"
        raise DataError(f"the {part} part of {decoded.name}", rule, int(wrong[0]))


def _check_different(keys: Sequence[bytes], labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
    """No two classes may be the very same images: a folder was copied, and nothing can tell them apart."""
    seen: dict[frozenset[bytes], str] = {}
    for members, name in zip(_members(labels, len(class_names)), class_names, strict=True):
        images = frozenset(keys[i] for i in members.tolist())
        if images and seen.setdefault(images, name) != name:
            raise DataError(
                f"class {name!r}", "must differ from another class; it has the very images of", seen[images]
            )


def _members(labels: NDArray[np.int64], classes: int) -> list[NDArray[np.int64]]:
    """For each class the rows of its images, in their order."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels, minlength=classes))[:-1])


def _thinned(
    decoded: DecodedData, keys: Mapping[Part, Sequence[bytes]], request: SplitRequest
) -> dict[Part, list[int]]:
    """The rows of `request.limit` images in all, each class of each part in proportion; chosen by content."""
    groups = [
        (part, members)
        for part, pictures in decoded.parts.items()
        for members in _members(pictures.labels, len(decoded.class_names))
    ]
    total = sum(len(members) for _, members in groups)
    if request.limit is None or request.limit >= total:
        return {part: list(range(len(pictures))) for part, pictures in decoded.parts.items()}
    in_train = 1 + len(_shares(decoded, request))
    ranked = [(part, sorted(members.tolist(), key=keys[part].__getitem__)) for part, members in groups]
    return keep_in_proportion(ranked, request.limit, in_train)


def _drawn(
    decoded: DecodedData, keys: Mapping[Part, Sequence[bytes]], kept: Mapping[Part, list[int]], request: SplitRequest
) -> dict[Part, Chosen]:
    """The three splits of the rows `kept`, each in the order of its images' digests, each with every class."""
    train, own = decoded.parts["train"].labels, kept["train"]
    places = assign([keys["train"][i] for i in own], train[own], _shares(decoded, request))
    splits: dict[Part, Chosen] = {}
    for part in PARTS:
        home: Part = part if part in decoded.parts else "train"
        rows = kept[part] if home == part != "train" else [i for i, p in zip(own, places, strict=True) if p == part]
        ordered = sorted(
            (keys[home][i], label, i) for i, label in zip(rows, decoded.parts[home].labels[rows].tolist(), strict=True)
        )
        splits[part] = Chosen(decoded.parts[home], np.array([i for _, _, i in ordered], np.int64))
    images: list[set[bytes]] = [set() for _ in decoded.class_names]
    for row in own:
        images[train[row]].add(keys["train"][row])
    for part, chosen in splits.items():
        check_classes(chosen.labels, part, decoded.class_names, [len(i) for i in images], len(decoded.skipped))
    return splits


def _shares(decoded: DecodedData, request: SplitRequest) -> dict[Part, float]:
    """The share of each split that has to be drawn from the train part."""
    shares: Mapping[Part, float] = {"val": request.val_fraction, "test": request.test_fraction}
    return {part: share for part, share in shares.items() if part not in decoded.parts}
