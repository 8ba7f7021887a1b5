"""A fixed, stratified split by content: which image is validated or tested on depends on its pixels and a seed alone.

Each image has a digest: SHA-256 over the seed, its shape and its pixels. Within a class, images stand in the order of
their digests; the first ones are the validation split, the next ones the test split, the rest is trained on. So the
split depends neither on the order nor on the names of files, and equal images are in the same split, whatever their
classes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainers.errors import DataError

if TYPE_CHECKING:
    from trainers.config import DataConfig
    from trainers.sources.base import Decoded, Part, Pictures


PARTS: tuple[Part, ...] = ("train", "val", "test")


def partition(decoded: Decoded, config: DataConfig) -> dict[Part, Pictures]:
    """The train, validation and test split of `decoded`, `config.limit` images in all.

    Raises:
        DataError: a class has too few images to be in every split, or the limit leaves it too few.
    """
    return _drawn(_thinned(decoded, config), config)


def digests(pictures: Pictures, seed: int) -> list[bytes]:
    """The digest of each image, 32 bytes."""
    prefix = f"{seed} {pictures.images.shape[1:]} ".encode()
    return [hashlib.sha256(prefix + image.tobytes()).digest() for image in pictures.images]


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
    while sum(kept) != limit:
        step = 1 if sum(kept) < limit else -1
        open_groups = [g for g in range(len(kept)) if (kept[g] < counts[g] if step == 1 else kept[g] > at_least[g])]
        # The group that is furthest from its exact share gives or takes one.
        kept[max(open_groups, key=lambda g: step * (exact[g] - kept[g]))] += step
    return kept


def assign(keys: Sequence[bytes], labels: NDArray[np.int64], shares: Mapping[Part, float]) -> list[Part]:
    """The split of each image of the train part: "train" or one of those in `shares`.

    Args:
        keys: the digest of each image.
        labels: `(N,)`, the class of each image.
        shares: the share of each split that the source does not have itself.
    """
    placed: dict[bytes, Part] = {}
    for label in np.unique(labels):
        copies = Counter(keys[i] for i in np.flatnonzero(labels == label).tolist())
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


def check_classes(labels: NDArray[np.int64], part: Part, class_names: Sequence[str], distinct: Sequence[int]) -> None:
    """Every class must have an image in this split.

    Args:
        labels: of the split.
        part: the split.
        class_names: of all classes.
        distinct: different images that each class has in the part that the split was drawn from.

    Raises:
        DataError: a class has none.
    """
    present = np.bincount(labels, minlength=len(class_names))
    for index in np.flatnonzero(present == 0).tolist():
        rule = f"has no image for the {part} split; a class needs a different image for each split drawn from it"
        raise DataError(f"class {class_names[index]!r}", rule, distinct[index])


def _thinned(decoded: Decoded, config: DataConfig) -> Decoded:
    """`decoded` with `config.limit` images in all, each class of each part in proportion; chosen by content."""
    groups = [
        (part, np.flatnonzero(pictures.labels == label))
        for part, pictures in decoded.parts.items()
        for label in range(len(decoded.class_names))
    ]
    total = sum(len(members) for _, members in groups)
    if config.limit is None or config.limit >= total:
        return decoded
    in_train = 1 + len(_shares(decoded, config))
    at_least = [min(len(members), in_train if part == "train" else 1) for part, members in groups]
    counts = allot([len(members) for _, members in groups], config.limit, at_least)
    keys = {part: digests(pictures, config.seed) for part, pictures in decoded.parts.items()}
    kept: dict[Part, list[int]] = {part: [] for part in decoded.parts}
    for (part, members), count in zip(groups, counts, strict=True):
        kept[part] += sorted(members.tolist(), key=keys[part].__getitem__)[:count]
    return replace(decoded, parts={part: _take(decoded.parts[part], indices) for part, indices in kept.items()})


def _drawn(decoded: Decoded, config: DataConfig) -> dict[Part, Pictures]:
    """The three splits, each in the order of its images' digests, each with every class."""
    train = decoded.parts["train"]
    keys = digests(train, config.seed)
    places = assign(keys, train.labels, _shares(decoded, config))
    splits: dict[Part, Pictures] = {}
    for part in PARTS:
        if part == "train" or part not in decoded.parts:
            members = [index for index, place in enumerate(places) if place == part]
            splits[part] = _take(train, sorted(members, key=lambda i: (keys[i], train.labels[i])))
        else:
            own = decoded.parts[part]
            own_keys = digests(own, config.seed)
            splits[part] = _take(own, sorted(range(len(own)), key=lambda i: (own_keys[i], own.labels[i])))
    distinct = [len({keys[i] for i in np.flatnonzero(train.labels == c)}) for c in range(len(decoded.class_names))]
    for part, pictures in splits.items():
        check_classes(pictures.labels, part, decoded.class_names, distinct)
    return splits


def _shares(decoded: Decoded, config: DataConfig) -> dict[Part, float]:
    """The share of each split that has to be drawn from the train part."""
    shares: Mapping[Part, float] = {"val": config.val_fraction, "test": config.test_fraction}
    return {part: share for part, share in shares.items() if part not in decoded.parts}


def _take(pictures: Pictures, indices: Sequence[int]) -> Pictures:
    rows = np.asarray(indices, np.int64)
    return replace(pictures, images=pictures.images[rows], labels=pictures.labels[rows])
